/* What a model writes for times, files and people; a document as it comes from outside. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/addresses.h"
#include "services/google/api.h"
#include "services/google/docs_text.h"
#include "services/google/drive_file.h"
#include "services/google/drive_query.h"
#include "services/google/when.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_time(const char *text)
{
    struct when when, again;
    if (when_parse(text, &when) != ERR_OK)
        return;
    /* What it writes, it reads as the same. */
    assert(when_parse(when.text, &again) == ERR_OK);
    assert(again.kind == when.kind && again.ms == when.ms);
    assert(strcmp(again.text, when.text) == 0);
    when_next_day(&when, &again);
}

static void check_addresses(const char *text)
{
    char bad[ADDRESS_SIZE];
    AUTOJSON json_t *value = json_string(text);
    AUTOJSON json_t *list = value ? addresses_read(value, bad) : NULL;
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        assert(!strpbrk(json_string_value(one), "\r\n <>,;"));
    }
}

/* Quoted, a text stays one text: its end is the last quotation mark. */
static void check_quoted(const char *text)
{
    struct buf out;
    buf_init(&out, 2 * strlen(text) + 3);
    drive_quote(&out, text);
    const char *at = buf_text(&out) + 1;
    while (*at && *at != '\'')
        at += *at == '\\' ? 2 : 1;
    assert(*at == '\'' && !at[1]);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char id[DRIVE_ID_SIZE];
    struct buf out;
    AUTOJSON json_t *document = NULL;
    AUTOFREE char *text = mem_strndup((const char *)data, size);
    check_time(text);
    check_addresses(text);
    check_quoted(text);
    if (drive_read_id(text, id))
        assert(api_is_id(id));
    buf_init(&out, 4096);
    if (drive_is_order(text))
        assert(!strpbrk(text, "'&="));
    if (drive_type_query(&out, text) == ERR_OK)
        assert(out.len > 0);
    buf_reset(&out);
    if (js_parse(text, strlen(text), &document, NULL) == ERR_OK)
        docs_text(document, &out);
    assert(out.len <= out.max);
    buf_fini(&out);
    return 0;
}
