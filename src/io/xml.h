/* XML as the clients of batch systems and some clouds write it: a tree of elements with their text. An attribute is a first child whose name
 * begins with '@'. A document type is refused, so that no entity can grow. Bounded by its input; at most 64 deep. One owner, one thread. */
#ifndef DASKTOP_IO_XML_H
#define DASKTOP_IO_XML_H

#include "base/error.h"

#include <stddef.h>

typedef struct XmlNode XmlNode;
struct XmlNode {
    const char *name;
    const char *text;       /* what stands in it directly, without blanks around it; "" */
    XmlNode *first, *next;  /* its first child; its next sibling */
};

typedef struct Xml Xml;
/* Exactly one document. NULL with error: cut short, not XML, too deep. */
Xml *xml_parse(const char *bytes, size_t n, const char *where, Error *error);
void xml_free(Xml *xml); /* NULL is allowed */
const XmlNode *xml_root(const Xml *xml);

const XmlNode *xml_child(const XmlNode *node, const char *name); /* the first of that name; node NULL gives NULL */
const XmlNode *xml_same(const XmlNode *node);                    /* the next sibling of the same name; NULL */
/* The text at a path of names: "JB_stdout_path_list/path_list/PN_path"; NULL where it is not there or empty. */
const char *xml_at(const XmlNode *node, const char *path);

#endif
