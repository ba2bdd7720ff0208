#include "services/google/tools.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/schema.h"
#include "services/google/scopes_calendar.h"
#include "services/google/scopes_docs.h"
#include "services/google/scopes_drive.h"
#include "services/google/scopes_gmail.h"

/* Pieces of JSON schema, so that the table shows one line for each parameter. */
#define MEMBER(name, type, description, more) \
    "\"" name "\":{\"type\":\"" type "\",\"description\":\"" description "\"" more "}"
#define TEXT(name, description, min, max) \
    MEMBER(name, "string", description, ",\"minLength\":" #min ",\"maxLength\":" #max)
#define TEXT_DEFAULT(name, description, min, max, def) \
    MEMBER(name, "string", description,                \
           ",\"minLength\":" #min ",\"maxLength\":" #max ",\"default\":\"" def "\"")
#define INTEGER(name, description, min, max, def) \
    MEMBER(name, "integer", description,          \
           ",\"minimum\":" #min ",\"maximum\":" #max ",\"default\":" #def)
#define BOOLEAN(name, description, def) MEMBER(name, "boolean", description, ",\"default\":" def)
#define TEXTS(name, description, max)                                            \
    MEMBER(name, "array", description,                                           \
           ",\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1000}" \
           ",\"maxItems\":" #max)
/* `choices` and `def` are JSON texts with their quotation marks escaped. */
#define CHOICE(name, description, choices, def) \
    MEMBER(name, "string", description, ",\"enum\":[" choices "],\"default\":\"" def "\"")
#define OBJECT(members, required)                                               \
    "{\"type\":\"object\",\"properties\":{" members "},\"required\":[" required \
    "],\"additionalProperties\":false}"

#define READS .read_only = true, .idempotent = true
/* Adds something new each time; changes, or adds, the same each time; may lose what was there. */
#define ADDS .read_only = false
#define CHANGES .idempotent = true
#define REPLACES .destructive = true, .idempotent = true
#define DESTROYS .destructive = true
/* Adds something to what it has read, which takes scopes of its own. */
#define ANSWERS(mask) .also = mask

const struct tool tools[] = {
#define TOOL(tool_name, tool_title, text, any_scope, handler, annotations, parameters) \
    {.name = tool_name,                                                                \
     .title = tool_title,                                                              \
     .description = text,                                                              \
     .scopes = any_scope,                                                              \
     .fn = handler,                                                                    \
     .schema = parameters,                                                             \
     annotations},
#include "services/google/tools.def"
#undef TOOL
};

const size_t tools_count = sizeof tools / sizeof *tools;

const struct tool *tool_find(const char *name)
{
    for (size_t i = 0; i < tools_count; i++)
        if (strcmp(tools[i].name, name) == 0)
            return &tools[i];
    return NULL;
}

bool tool_allowed(const struct tool *tool, uint32_t scopes)
{
    return (tool->scopes & scopes) && (!tool->also || (tool->also & scopes));
}

static json_t *schema_of(const struct tool *tool)
{
    json_t *schema = NULL;
    if (js_parse(tool->schema, strlen(tool->schema), &schema, NULL) != ERR_OK)
        abort(); /* the table itself is wrong */
    return schema;
}

/* Some models' endpoints refuse a type that is a list: what is shown has the first alone, while
 * the others are taken too. */
static json_t *narrow(json_t *schema)
{
    const char *key;
    json_t *member, *type = json_object_get(schema, "type");
    if (json_is_array(type))
        json_object_set(schema, "type", json_array_get(type, 0));
    json_object_foreach(schema, key, member)
    {
        narrow(member);
    }
    return schema;
}

json_t *tool_json(const struct tool *tool)
{
    return json_pack("{s:s,s:s,s:s,s:o,s:{s:s,s:b,s:b,s:b,s:b}}", "name", tool->name, "title",
                     tool->title, "description", tool->description, "inputSchema",
                     narrow(schema_of(tool)), "annotations", "title", tool->title, "readOnlyHint",
                     (int)tool->read_only, "destructiveHint", (int)tool->destructive,
                     "idempotentHint", (int)tool->idempotent, "openWorldHint", 1);
}

void tool_call(const struct tool *tool, struct api *api, uint32_t scopes, const json_t *args,
               struct result *result)
{
    char why[SCHEMA_WHY_SIZE] = "";
    AUTOJSON json_t *checked = NULL;
    AUTOJSON json_t *schema = schema_of(tool);
    if (!tool_allowed(tool, scopes)) {
        AUTOFREE char *names = scopes_names(tool->scopes);
        AUTOFREE char *more = scopes_names(tool->also);
        result_fail(result,
                    "%s is not allowed: it takes Google access that was not granted (%s%s%s).",
                    tool->name, names, *more ? "; together with " : "", more);
        return;
    }
    if (schema_check(schema, args, &checked, why) != ERR_OK) {
        result_fail(result, "Invalid arguments for %s: %s.", tool->name, why);
        return;
    }
    tool->fn(api, checked, result);
}
