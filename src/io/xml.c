#include "io/xml.h"

#include "base/buffer.h"
#include "base/mem.h"

#include <expat.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MOST = 64, BLOCK = 64 << 10 };

typedef struct Block {
    struct Block *next;
    size_t used, size;
    _Alignas(XmlNode) char bytes[];
} Block;

struct Xml {
    XmlNode *root;
    Block *blocks;
};

typedef struct Building {
    XML_Parser parser;
    Xml *xml;
    XmlNode *open[DEPTH_MOST];
    XmlNode *last[DEPTH_MOST]; /* the last child of each */
    Buffer text[DEPTH_MOST];
    int depth;
    const char *wrong;
} Building;

static void *take_room(Xml *xml, size_t n)
{
    n = (n + _Alignof(XmlNode) - 1) / _Alignof(XmlNode) * _Alignof(XmlNode);
    Block *block = xml->blocks;
    if (!block || block->size - block->used < n) {
        size_t size = n > BLOCK ? n : BLOCK;
        block = mem_new(sizeof *block + size);
        block->size = size;
        block->next = xml->blocks;
        xml->blocks = block;
    }
    void *room = block->bytes + block->used;
    block->used += n;
    return room;
}

static const char *keep(Xml *xml, const char *bytes, size_t n)
{
    char *text = take_room(xml, n + 1);
    memcpy(text, bytes, n);
    text[n] = 0;
    return text;
}

static void refuse(Building *building, const char *why)
{
    building->wrong = why;
    XML_StopParser(building->parser, XML_FALSE);
}

static XmlNode *add_child(Building *building, XmlNode *parent, XmlNode **last, const char *name)
{
    XmlNode *node = take_room(building->xml, sizeof *node);
    *node = (XmlNode){.name = name, .text = ""};
    if (*last)
        (*last)->next = node;
    else
        parent->first = node;
    return *last = node;
}

static void add_attributes(Building *building, XmlNode *node, const char **attributes)
{
    for (; *attributes; attributes += 2) {
        Buffer name;
        buffer_init(&name, 1 << 20);
        buffer_format(&name, "@%s", attributes[0]);
        XmlNode *one = add_child(building, node, &building->last[building->depth], keep(building->xml, name.bytes, name.length));
        one->text = keep(building->xml, attributes[1], strlen(attributes[1]));
        buffer_done(&name);
    }
}

static void on_start(void *user, const char *name, const char **attributes)
{
    Building *building = user;
    if (building->depth == DEPTH_MOST) {
        refuse(building, "it is nested too deep");
        return;
    }
    const char *kept = keep(building->xml, name, strlen(name));
    XmlNode *node;
    if (building->depth) {
        node = add_child(building, building->open[building->depth - 1], &building->last[building->depth - 1], kept);
    } else {
        node = building->xml->root = take_room(building->xml, sizeof *node);
        *node = (XmlNode){.name = kept, .text = ""};
    }
    building->open[building->depth] = node;
    building->last[building->depth] = NULL;
    buffer_clear(&building->text[building->depth]);
    add_attributes(building, node, attributes);
    building->depth++;
}

static void on_end(void *user, const char *name)
{
    Building *building = user;
    (void)name;
    Buffer *text = &building->text[--building->depth];
    size_t begin = strspn(text->bytes, " \t\r\n"), end = text->length;
    while (end > begin && strchr(" \t\r\n", text->bytes[end - 1]))
        end--;
    if (end > begin)
        building->open[building->depth]->text = keep(building->xml, text->bytes + begin, end - begin);
}

static void on_text(void *user, const char *bytes, int n)
{
    Building *building = user;
    if (building->depth)
        buffer_add(&building->text[building->depth - 1], bytes, (size_t)n);
}

static void on_doctype(void *user, const char *name, const char *system, const char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    refuse(user, "it brings a document type of its own");
}

static bool feed(Building *building, const char *bytes, size_t n, const char *where, Error *error)
{
    while (n > INT_MAX / 2) {
        if (XML_Parse(building->parser, bytes, INT_MAX / 2, 0) != XML_STATUS_OK)
            break;
        bytes += INT_MAX / 2;
        n -= INT_MAX / 2;
    }
    if (n <= INT_MAX / 2 && XML_Parse(building->parser, bytes, (int)n, 1) == XML_STATUS_OK)
        return true;
    return error_set(error, ERROR_BAD_REPLY, where, NULL, "its answer is not the XML that was expected: line %lu: %s",
                     (unsigned long)XML_GetCurrentLineNumber(building->parser),
                     building->wrong ? building->wrong : XML_ErrorString(XML_GetErrorCode(building->parser)));
}

Xml *xml_parse(const char *bytes, size_t n, const char *where, Error *error)
{
    Building building = {.xml = mem_new(sizeof(Xml))};
    building.parser = XML_ParserCreate(NULL);
    if (!building.parser) {
        free(building.xml);
        error_set(error, ERROR_INTERNAL, where, NULL, "no memory for an XML parser");
        return NULL;
    }
    for (size_t i = 0; i < DEPTH_MOST; i++)
        buffer_init(&building.text[i], 1 << 20);
    XML_SetUserData(building.parser, &building);
    XML_SetElementHandler(building.parser, on_start, on_end);
    XML_SetCharacterDataHandler(building.parser, on_text);
    XML_SetStartDoctypeDeclHandler(building.parser, on_doctype);
    bool right = feed(&building, bytes, n, where, error);
    for (size_t i = 0; i < DEPTH_MOST; i++)
        buffer_done(&building.text[i]);
    XML_ParserFree(building.parser);
    if (right)
        return building.xml;
    xml_free(building.xml);
    return NULL;
}

void xml_free(Xml *xml)
{
    if (!xml)
        return;
    for (Block *block = xml->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(xml);
}

const XmlNode *xml_root(const Xml *xml)
{
    return xml->root;
}

const XmlNode *xml_child(const XmlNode *node, const char *name)
{
    for (const XmlNode *child = node ? node->first : NULL; child; child = child->next)
        if (strcmp(child->name, name) == 0)
            return child;
    return NULL;
}

const XmlNode *xml_same(const XmlNode *node)
{
    for (const XmlNode *other = node->next; other; other = other->next)
        if (strcmp(other->name, node->name) == 0)
            return other;
    return NULL;
}

const char *xml_at(const XmlNode *node, const char *path)
{
    while (node && *path) {
        size_t n = strcspn(path, "/");
        const XmlNode *child = node->first;
        while (child && (strncmp(child->name, path, n) != 0 || child->name[n]))
            child = child->next;
        node = child;
        path += n + (path[n] == '/');
    }
    return node && *node->text ? node->text : NULL;
}
