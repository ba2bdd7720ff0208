#include "services/google/docs_text.h"

#include <string.h>

#include "libcommon/js.h"

enum { DEPTH_MAX = 16 };

static void add_content(const json_t *content, struct buf *out, int depth, bool cell);

/* As much as fits. */
static void add_some(struct buf *out, const char *text)
{
    size_t len = strlen(text), room = out->max - out->len;
    if (out->full)
        return;
    while (len > room && room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80)
        room--;
    buf_add(out, text, len < room ? len : room);
    out->full = out->full || len > room;
}

/* In a cell of a table a line's end would look like a row's. */
static void add_run(const char *text, struct buf *out, bool cell)
{
    if (!cell) {
        add_some(out, text);
        return;
    }
    for (; *text; text++)
        if (*text != '\n' || text[1])
            add_some(out, (char[2]){*text == '\n' ? ' ' : *text, '\0'});
}

static void add_element(const json_t *element, struct buf *out, bool cell)
{
    const json_t *run = json_object_get(element, "textRun");
    const json_t *person = json_object_get(json_object_get(element, "person"), "personProperties");
    const json_t *link =
        json_object_get(json_object_get(element, "richLink"), "richLinkProperties");
    if (run)
        add_run(js_str(run, "content", ""), out, cell);
    else if (person)
        add_run(js_str(person, "name", js_str(person, "email", "")), out, cell);
    else if (link)
        add_run(js_str(link, "title", js_str(link, "uri", "")), out, cell);
    else if (json_object_get(element, "inlineObjectElement"))
        add_some(out, "[image]");
    else if (json_object_get(element, "horizontalRule"))
        add_some(out, "---");
}

/* "#" for the title, as many for a heading as its level; "" for what is none. */
static const char *heading_of(const char *style)
{
    static const char *const marks[][2] = {
        {"TITLE", "# "},          {"HEADING_1", "# "},    {"HEADING_2", "## "},
        {"HEADING_3", "### "},    {"HEADING_4", "#### "}, {"HEADING_5", "##### "},
        {"HEADING_6", "###### "},
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strcmp(marks[i][0], style) == 0)
            return marks[i][1];
    return "";
}

static void add_paragraph(const json_t *paragraph, struct buf *out, bool cell)
{
    const json_t *bullet = json_object_get(paragraph, "bullet");
    size_t i;
    json_t *element;
    add_some(out, heading_of(
                      js_str(json_object_get(paragraph, "paragraphStyle"), "namedStyleType", "")));
    if (bullet) {
        for (int64_t n = js_int(bullet, "nestingLevel", 0); n > 0 && n < 10; n--)
            add_some(out, "  ");
        add_some(out, "- ");
    }
    json_array_foreach(json_object_get(paragraph, "elements"), i, element)
    {
        add_element(element, out, cell);
    }
}

static void add_table(const json_t *table, struct buf *out, int depth)
{
    size_t i, j;
    json_t *row, *cell;
    json_array_foreach(json_object_get(table, "tableRows"), i, row)
    {
        json_array_foreach(json_object_get(row, "tableCells"), j, cell)
        {
            add_some(out, j ? " | " : "");
            add_content(json_object_get(cell, "content"), out, depth + 1, true);
        }
        add_some(out, "\n");
    }
}

static void add_content(const json_t *content, struct buf *out, int depth, bool cell)
{
    size_t i;
    json_t *part;
    json_array_foreach(content, i, part)
    {
        if (out->full || depth > DEPTH_MAX)
            return;
        if (json_object_get(part, "paragraph")) {
            add_paragraph(json_object_get(part, "paragraph"), out, cell);
            add_some(out, cell && i + 1 < json_array_size(content) ? " " : "");
        } else if (json_object_get(part, "table")) {
            add_table(json_object_get(part, "table"), out, depth);
        } else if (json_object_get(part, "tableOfContents")) {
            add_content(json_object_get(json_object_get(part, "tableOfContents"), "content"), out,
                        depth + 1, cell);
        }
    }
}

static void add_tabs(const json_t *tabs, struct buf *out, int depth, bool titles)
{
    size_t i;
    json_t *tab;
    json_array_foreach(tabs, i, tab)
    {
        const json_t *body = json_object_get(json_object_get(tab, "documentTab"), "body");
        const json_t *below = json_object_get(tab, "childTabs");
        if (out->full || depth > DEPTH_MAX)
            return;
        if (titles) {
            add_some(out, "\n[tab: ");
            add_some(out, js_str(json_object_get(tab, "tabProperties"), "title", ""));
            add_some(out, "]\n");
        }
        add_content(json_object_get(body, "content"), out, 0, false);
        add_tabs(below, out, depth + 1, true);
    }
}

void docs_text(const json_t *document, struct buf *out)
{
    const json_t *tabs = json_object_get(document, "tabs");
    if (json_array_size(tabs))
        add_tabs(tabs, out, 0, json_array_size(tabs) > 1);
    else
        add_content(json_object_get(json_object_get(document, "body"), "content"), out, 0, false);
}
