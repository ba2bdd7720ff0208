#include "services/cli/input.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/buf.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/commands.h"
#include "services/cli/output.h"

enum { INPUT_MAX = 5 * 1024 * 1024 };

int input_text(const char *word, char **ret_text)
{
    struct buf buf;
    char piece[4096];
    size_t n;
    if (strcmp(word, "-") != 0) {
        *ret_text = mem_strdup(word);
        return CLI_OK;
    }
    buf_init(&buf, INPUT_MAX);
    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        buf_add(&buf, piece, n);
    if (buf.full || ferror(stdin)) {
        fprintf(stderr, "mcpbus: standard input: %s\n",
                buf.full ? "more than 5 MiB" : "can't be read");
        buf_fini(&buf);
        return CLI_USAGE;
    }
    if (buf.len && buf.data[buf.len - 1] == '\n')
        buf.data[--buf.len] = '\0';
    if (buf.len && memchr(buf.data, '\0', buf.len)) {
        fprintf(stderr, "mcpbus: standard input: holds a NUL\n");
        buf_fini(&buf);
        return CLI_USAGE;
    }
    *ret_text = buf_steal(&buf);
    return CLI_OK;
}

int input_json(const char *word, json_t **ret_object)
{
    AUTOFREE char *text = NULL;
    AUTOJSON json_t *value = NULL;
    char why[JS_WHY_SIZE] = "it is no object";
    int status = input_text(word, &text);
    if (status)
        return status;
    if (js_parse(text, strlen(text), &value, why) || !json_is_object(value)) {
        output_say(stderr, "mcpbus: the arguments must be a JSON object: %s\n", why);
        return CLI_USAGE;
    }
    *ret_object = json_incref(value);
    return CLI_OK;
}
