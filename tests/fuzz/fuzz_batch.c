/* Job scripts, logs and the answers of batch systems' clients: text of other people's. */
#include "backends/batch/script.h"
#include "backends/batch/slurm.h"
#include "io/xml.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_script(const char *text, size_t n)
{
    Script script;
    Buffer renamed;
    script_read(text, n, &script);
    assert(script.role == ROLE_OTHER || script.role == ROLE_WORKER || script.role == ROLE_SCHEDULER);
    assert(script.processes >= 1);
    if (script.worker)
        free(script_expand(script.worker, "14_2", true));
    script_done(&script);
    script_read_log(text, n, &script);
    script_done(&script);
    free(script_line(text, n));
    buffer_init(&renamed, 1 << 20);
    if (script_rename(text, n, "new-1", &renamed))
        assert(strstr(renamed.bytes, "new-1"));
    buffer_done(&renamed);
}

static void walk(const XmlNode *node, int depth)
{
    assert(depth <= 64 && node->name && node->text);
    for (const XmlNode *child = node->first; child; child = child->next)
        walk(child, depth + 1);
    xml_at(node, "JB_stdout_path_list/path_list/PN_path");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    JobList list = {0};
    Error error = {0};
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    read_script(text, strlen(text));
    slurm_parse(text, size, NULL, &list, &error);
    job_list_keys(&list);
    for (size_t i = 0; i < list.count; i++)
        assert(list.items[i].script_key && list.items[i].id && list.items[i].owner && list.items[i].name);
    job_list_done(&list);
    List failures = {0};
    slurm_refusals(text, &failures);
    list_done(&failures);
    Xml *xml = xml_parse(text, size, "fuzz", &error);
    if (xml)
        walk(xml_root(xml), 1);
    xml_free(xml);
    queue_time(text);
    queue_duration_s(text);
    queue_size(text, 'M');
    free(text);
    return 0;
}
