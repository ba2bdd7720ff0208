#include "services/cli/ask.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "libcommon/clock.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/lookup.h"
#include "services/cli/output.h"

enum {
    ANSWER_BYTES = 1024,
    LOOK_MS = 1000, /* has somebody else answered? */
    SLICE_MS = 100,
    LINES_MAX = 200,
};

struct ask {
    struct bus_session *session;
    const json_t *job;
    json_t *calls; /* as the job waits with them */
    int interrupts;
    enum ask_end end; /* why there is no answer */
};

bool ask_is_possible(void)
{
    return isatty(STDIN_FILENO) == 1 && output_is_terminal(stderr);
}

static json_t *waiting(const struct ask *ask)
{
    AUTOJSON json_t *job = NULL;
    if (session_call(ask->session, "jobs.get", lookup_args(ask->job), NULL, NULL, &job))
        return NULL;
    json_t *calls = json_object_get(job, "waiting_approval");
    return json_array_size(calls) ? json_incref(calls) : json_array();
}

/* As long as nobody can say, it waits. */
static bool waits_still(const struct ask *ask)
{
    AUTOJSON json_t *now = waiting(ask);
    return !now || json_equal(now, ask->calls);
}

/* A line from the terminal, without its end; false: `ask->end` says why not. What was typed before
 * the question is no answer to it. */
static bool read_answer(struct ask *ask, const char *question, char ret_line[ANSWER_BYTES])
{
    struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
    int64_t looked = clock_ms();
    tcflush(STDIN_FILENO, TCIFLUSH);
    fprintf(stderr, "%s%s%s", output_paint(stderr, PAINT_HEAD), question,
            output_paint(stderr, PAINT_PLAIN));
    for (;;) {
        int ready = poll(&wait, 1, SLICE_MS);
        if (interrupts() != ask->interrupts) {
            ask->end = ASK_INTERRUPTED;
            break;
        }
        ssize_t len = ready > 0 ? read(STDIN_FILENO, ret_line, ANSWER_BYTES - 1) : -1;
        if (len > 0) {
            ret_line[len] = '\0';
            ret_line[strcspn(ret_line, "\r\n")] = '\0';
            return true;
        }
        if (len == 0 || (ready > 0 && (wait.revents & (POLLHUP | POLLERR)))) {
            ask->end = ASK_LATER;
            break;
        }
        if (clock_ms() - looked >= LOOK_MS) {
            looked = clock_ms();
            if (!waits_still(ask)) {
                ask->end = ASK_DONE;
                fprintf(stderr, "\nmcpbus: somebody else has answered\n");
                return false;
            }
        }
    }
    fputc('\n', stderr);
    return false;
}

/* All of it: what is approved must have been seen. */
static void show_value(const char *name, const json_t *value)
{
    AUTOFREE char *text = json_is_string(value)
                              ? mem_strdup(json_string_value(value))
                              : json_dumps(value, JSON_ENCODE_ANY | JSON_INDENT(2));
    char *rest = text, *line;
    for (int n = 0; rest && (line = strsep(&rest, "\n")); n++) {
        if (n == LINES_MAX) {
            fprintf(stderr, "    %-14s … there is more: mcpbus jobs get shows it\n", "");
            return;
        }
        output_say(stderr, "    %-14s %s\n", n ? "" : name, line);
    }
}

static void show_call(const json_t *call, size_t number, size_t count)
{
    const json_t *arguments = json_object_get(call, "arguments");
    const char *name;
    json_t *value;
    fprintf(stderr, "%s", output_paint(stderr, PAINT_WARN));
    output_say(stderr, "%zu of %zu  %s", number, count, js_str(call, "name", "?"));
    fprintf(stderr, "%s\n", output_paint(stderr, PAINT_PLAIN));
    if (json_is_object(arguments)) {
        json_object_foreach((json_t *)arguments, name, value) show_value(name, value);
    } else if (arguments) {
        show_value("arguments", arguments);
    }
}

/* 'y', 'n', 'a', 'd' or 'l'; 0: `ask->end` says why there is none. Nothing approves but a word. */
static char ask_one(struct ask *ask)
{
    static const char question[] =
        "  approve it? [y]es, [n]o, [a]ll of them, [d]eny all, [l]ater: ";
    static const char *const words[] = {"yes", "no", "all", "deny", "later"};
    char line[ANSWER_BYTES];
    while (read_answer(ask, question, line)) {
        size_t len = strlen(line);
        for (size_t i = 0; len && i < sizeof words / sizeof *words; i++)
            if (!strncasecmp(line, words[i], len))
                return words[i][0];
    }
    return 0;
}

/* The ids that are approved, of all calls in their order; NULL: no answer. */
static json_t *ask_all(struct ask *ask)
{
    json_t *approved = json_array(), *call;
    size_t i, count = json_array_size(ask->calls);
    char answer = 'y';
    json_array_foreach(ask->calls, i, call)
    {
        if (answer != 'a' && answer != 'd') {
            show_call(call, i + 1, count);
            answer = ask_one(ask);
        }
        if (!answer || answer == 'l') {
            ask->end = answer ? ASK_LATER : ask->end;
            json_decref(approved);
            return NULL;
        }
        if (answer == 'y' || answer == 'a')
            json_array_append_new(approved, json_string(js_str(call, "id", "")));
    }
    return approved;
}

/* A call that was not shown isn't approved by "all": the ids are named, as they were. */
static enum ask_end decide(struct ask *ask, json_t *approved)
{
    AUTOJSON json_t *job = NULL;
    json_t *args = lookup_args(ask->job);
    char reason[ANSWER_BYTES] = "";
    bool any = json_array_size(approved) > 0;
    json_object_set_new(args, "decision", json_string(any ? "approve" : "deny"));
    if (any)
        json_object_set(args, "call_ids", approved);
    else if (read_answer(ask, "  why? the model is told (Enter: no reason): ", reason) && *reason)
        json_object_set_new(args, "reason", json_string(reason));
    if (!any && interrupts() != ask->interrupts) {
        json_decref(args);
        return ASK_INTERRUPTED;
    }
    if (session_call(ask->session, "jobs.decide", args, NULL, NULL, &job)) {
        output_say(stderr, "mcpbus: the answer was not taken: %s\n",
                   session_error(ask->session)->detail);
        return waits_still(ask) ? ASK_LATER : ASK_DONE;
    }
    return ASK_DONE;
}

enum ask_end ask_about(struct bus_session *session, const json_t *job, int known)
{
    struct ask ask = {.session = session, .job = job, .interrupts = known, .end = ASK_LATER};
    ask.calls = waiting(&ask);
    if (!json_array_size(ask.calls)) { /* nobody has answered, or none waits */
        ask.end = ASK_NOT_YET;
        json_decref(ask.calls);
        return ask.end;
    }
    fprintf(stderr, "The job asks to make %zu tool call%s:\n", json_array_size(ask.calls),
            json_array_size(ask.calls) == 1 ? "" : "s");
    AUTOJSON json_t *approved = ask_all(&ask);
    if (approved)
        ask.end = decide(&ask, approved);
    json_decref(ask.calls);
    return ask.end;
}
