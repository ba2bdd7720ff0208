#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "libcommon/mem.h"
#include "services/files/files.h"

/* What a bomb may unpack to, in all. */
enum { UNPACKED_MAX = 64 * 1024 * 1024, CHUNK = 64 * 1024, DEPTH_MAX = 256, ENTRIES_MAX = 20000 };

struct reader {
    struct buf *out;
    xmlParserCtxtPtr parser;
    int depth, in_text;
    bool refused;
};

static bool is(const xmlChar *name, const char *wanted)
{
    return strcmp((const char *)name, wanted) == 0;
}

static void add(struct reader *reader, const char *text, size_t len)
{
    struct buf *out = reader->out;
    size_t room = out->max - out->len;
    buf_add(out, text, len < room ? len : room);
    out->full = out->full || len > room;
    if (out->full)
        xmlStopParser(reader->parser);
}

static void refuse(struct reader *reader)
{
    reader->refused = true;
    xmlStopParser(reader->parser);
}

/* WordprocessingML (ECMA-376 part 1, §17): text stands in w:t alone. */
static void on_start(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int namespaces, const xmlChar **namespace_list, int attributes, int defaulted,
                     const xmlChar **attribute_list)
{
    (void)prefix, (void)uri, (void)namespaces, (void)namespace_list, (void)attributes,
        (void)defaulted, (void)attribute_list;
    struct reader *reader = arg;
    if (++reader->depth > DEPTH_MAX)
        refuse(reader);
    else if (is(name, "t"))
        reader->in_text++;
    else if (is(name, "tab"))
        add(reader, "\t", 1);
    else if (is(name, "br") || is(name, "cr"))
        add(reader, "\n", 1);
    else if (is(name, "noBreakHyphen"))
        add(reader, "-", 1);
}

static void on_end(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    (void)prefix, (void)uri;
    struct reader *reader = arg;
    reader->depth--;
    if (is(name, "t"))
        reader->in_text--;
    else if (is(name, "p"))
        add(reader, "\n", 1);
}

static void on_text(void *arg, const xmlChar *text, int len)
{
    struct reader *reader = arg;
    if (reader->in_text > 0)
        add(reader, (const char *)text, (size_t)len);
}

/* A document type is where entities are declared, and no DOCX has one. */
static void on_doctype(void *arg, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    refuse(arg);
}

static void on_error(void *arg, const char *format, ...)
{
    (void)arg, (void)format;
}

static xmlParserCtxtPtr make_parser(struct reader *reader)
{
    xmlSAXHandler handler = {.initialized = XML_SAX2_MAGIC,
                             .startElementNs = on_start,
                             .endElementNs = on_end,
                             .characters = on_text,
                             .cdataBlock = on_text,
                             .internalSubset = on_doctype,
                             .error = on_error,
                             .warning = on_error};
    xmlParserCtxtPtr parser = xmlCreatePushParserCtxt(&handler, reader, NULL, 0, NULL);
    if (parser)
        xmlCtxtUseOptions(parser, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    return parser;
}

/* Feeds the part to the parser as it is unpacked. */
static enum err feed(struct reader *reader, zip_file_t *file, size_t *unpacked)
{
    char *chunk = mem_alloc(CHUNK);
    zip_int64_t n = 0;
    bool good = true;
    while (good && !reader->refused && !reader->out->full && *unpacked <= UNPACKED_MAX &&
           (n = zip_fread(file, chunk, CHUNK)) > 0) {
        *unpacked += (size_t)n;
        good = xmlParseChunk(reader->parser, chunk, (int)n, 0) == XML_ERR_OK;
    }
    if (good && !reader->refused && !reader->out->full)
        good = xmlParseChunk(reader->parser, NULL, 0, 1) == XML_ERR_OK;
    free(chunk);
    if (reader->out->full)
        return ERR_OK;
    if (*unpacked > UNPACKED_MAX)
        return ERR_TOO_LARGE;
    return n < 0 || !good || reader->refused ? ERR_INVALID : ERR_OK;
}

/* ERR_NOT_FOUND: there is no such part. */
static enum err read_part(zip_t *zip, const char *name, struct buf *out, size_t *unpacked)
{
    struct reader reader = {.out = out};
    zip_file_t *file = zip_fopen(zip, name, 0);
    if (!file) {
        int code = zip_error_code_zip(zip_get_error(zip));
        return code == ZIP_ER_NOENT                                    ? ERR_NOT_FOUND
               : code == ZIP_ER_NOPASSWD || code == ZIP_ER_WRONGPASSWD ? ERR_DENIED
                                                                       : ERR_INVALID;
    }
    reader.parser = make_parser(&reader);
    enum err err = reader.parser ? feed(&reader, file, unpacked) : ERR_INTERNAL;
    if (reader.parser && reader.parser->myDoc)
        xmlFreeDoc(reader.parser->myDoc);
    xmlFreeParserCtxt(reader.parser);
    zip_fclose(file);
    return err;
}

/* A Word document that is encrypted is no zip but an OLE container. */
static bool is_ole(const void *data, size_t len)
{
    static const unsigned char magic[] = {0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1};
    return len >= sizeof magic && memcmp(data, magic, sizeof magic) == 0;
}

enum err files_docx_to_text(const void *data, size_t len, struct buf *out)
{
    static const char *const more[] = {"word/footnotes.xml", "word/endnotes.xml",
                                       "word/comments.xml"};
    size_t unpacked = 0;
    if (is_ole(data, len))
        return ERR_DENIED;
    zip_source_t *source = zip_source_buffer_create(data, len, 0, NULL);
    zip_t *zip = source ? zip_open_from_source(source, ZIP_RDONLY, NULL) : NULL;
    if (!zip) {
        zip_source_free(source);
        return ERR_INVALID;
    }
    enum err err = zip_get_num_entries(zip, 0) > ENTRIES_MAX
                       ? ERR_TOO_LARGE
                       : read_part(zip, "word/document.xml", out, &unpacked);
    for (size_t i = 0; !err && !out->full && i < sizeof more / sizeof *more; i++) {
        enum err part = read_part(zip, more[i], out, &unpacked);
        err = part == ERR_NOT_FOUND ? ERR_OK : part;
    }
    zip_discard(zip);
    return err == ERR_NOT_FOUND ? ERR_INVALID : err;
}
