/* mcpbus completion: the table as a script for a shell. */
#include <stdio.h>
#include <string.h>

#include "services/cli/args.h"
#include "services/cli/output.h"

/* --- bash, and zsh by its bashcompinit --- */

static void print_option_names(const struct command *command)
{
    const struct command_option *lists[] = {command->options,
                                            command->on_bus ? bus_options_common : NULL};
    for (int i = 0; i < 2; i++)
        for (const struct command_option *option = lists[i]; option && option->name; option++)
            printf("%s ", option->name);
}

/* The words of "a|b" with blanks; nothing when it is no such list. */
static void print_choices(const char *text)
{
    if (!strchr(text, '|'))
        return;
    for (; *text; text++)
        putchar(*text == '|' ? ' ' : *text);
}

static void bash_values(const char *command, const struct command_option *options)
{
    for (; options && options->name; options++) {
        const char *value = options->value;
        if (!value)
            continue;
        printf("    '%s %s') ", command, options->name);
        if (!strcmp(value, "FILE"))
            printf("_mcpbus_paths -f; ");
        else if (!strcmp(value, "DIR"))
            printf("_mcpbus_paths -d; ");
        else if (strchr(value, '|')) {
            printf("COMPREPLY=($(compgen -W '");
            print_choices(value);
            printf("' -- \"$cur\")); ");
        }
        printf("return 0 ;;\n");
    }
}

/* What an option takes, by its command: --wait is a flag of one and has a value of another. */
static void bash_all_values(void)
{
    printf("    case \"$command $prev\" in\n");
    for (size_t i = 0; i < command_count; i++) {
        bash_values(commands[i].name, commands[i].options);
        if (commands[i].on_bus)
            bash_values(commands[i].name, bus_options_common);
    }
    printf("    esac\n");
}

/* The words that may follow `name` ("" at first): next words of commands, and choices. */
static void print_next(const char *name)
{
    size_t len = strlen(name);
    char last[64] = "", word[64];
    for (size_t i = 0; i < command_count; i++) {
        const char *at = commands[i].name;
        if (len && (strncmp(at, name, len) != 0 || at[len] != ' '))
            continue;
        at += len ? len + 1 : 0;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, " "), at);
        if (strcmp(word, last) != 0)
            printf("%s ", word);
        snprintf(last, sizeof last, "%s", word);
    }
}

static void bash_command(const char *name, const struct command *command)
{
    printf("    '%s')\n        opts='", name);
    if (command)
        print_option_names(command);
    printf("--help' words='");
    if (!strcmp(name, "help"))
        print_next("");
    else if (*name)
        print_next(name);
    if (command)
        print_choices(command->arguments);
    printf("' ;;\n");
}

/* The first word of a name of two, "" when it has been told of before. */
static const char *group_of(size_t i, char ret_name[64])
{
    size_t len = strcspn(commands[i].name, " ");
    snprintf(ret_name, 64, "%.*s", (int)len, commands[i].name);
    for (size_t n = 0; n < i; n++)
        if (!strncmp(commands[n].name, ret_name, len) && commands[n].name[len] == ' ')
            return "";
    return commands[i].name[len] ? ret_name : "";
}

/* `jobs` and `help jobs`, which take the words below it. */
static void bash_group(size_t i)
{
    char name[64];
    if (!*group_of(i, name))
        return;
    if (!command_row(name))
        bash_command(name, NULL);
    printf("    'help %s') words='", name);
    print_next(name);
    printf("' ;;\n");
}

static void print_bash(void)
{
    printf("# Completion of mcpbus; made by mcpbus completion.\n"
           "_mcpbus_paths() { # whole names, with blanks and stars in them too\n"
           "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n"
           "    compopt -o filenames 2>/dev/null || true\n"
           "}\n"
           "_mcpbus() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local i word command='' opts='' words=''\n"
           "    COMPREPLY=()\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=${COMP_WORDS[i]}\n"
           "        case \"${command:+$command }$word\" in\n        ");
    for (size_t i = 0; i < command_count; i++)
        printf("'%s'|", commands[i].name);
    for (size_t i = 0; i < command_count; i++) {
        char name[64];
        if (*group_of(i, name))
            printf("'%s'|'help %s'|", name, name);
    }
    printf("'') command=\"${command:+$command }$word\" ;;\n"
           "        *) break ;;\n"
           "        esac\n"
           "    done\n");
    bash_all_values();
    printf("    case $command in\n"
           "    '')\n        opts='--help --version' words='");
    print_next("");
    printf("' ;;\n");
    for (size_t i = 0; i < command_count; i++) {
        bash_group(i);
        bash_command(commands[i].name, &commands[i]);
    }
    printf("    esac\n"
           "    case $cur in\n"
           "    -*) COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\")) ;;\n"
           "    *) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
           "    esac\n"
           "    return 0\n"
           "}\n"
           "complete -F _mcpbus mcpbus\n");
}

/* --- fish --- */

/* In single quotes. */
static void fish_text(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

/* "jobs list" → seen both; the words are names of the table. */
static void fish_seen(const char *name)
{
    printf("complete -c mcpbus -n '");
    while (*name) {
        int len = (int)strcspn(name, " ");
        printf("__fish_seen_subcommand_from %.*s", len, name);
        name += len;
        if (*name) {
            name++;
            printf("; and ");
        }
    }
    printf("' ");
}

static void fish_options(const char *name, const struct command_option *options)
{
    for (; options && options->name; options++) {
        fish_seen(name);
        printf("-l %s ", options->name + 2);
        if (options->value && (!strcmp(options->value, "FILE") || !strcmp(options->value, "DIR")))
            printf("-r -F ");
        else if (options->value)
            printf("-x ");
        if (options->value && strchr(options->value, '|')) {
            printf("-a '");
            print_choices(options->value);
            printf("' ");
        }
        printf("-d ");
        fish_text(options->help);
        putchar('\n');
    }
}

static void fish_command(const struct command *command)
{
    const char *below = strchr(command->name, ' ');
    int len = (int)strcspn(command->name, " ");
    printf("complete -c mcpbus -f -n '");
    if (below)
        printf("__fish_seen_subcommand_from %.*s", len, command->name);
    else
        printf("__fish_use_subcommand");
    printf("' -a %s -d ", below ? below + 1 : command->name);
    fish_text(command->summary);
    putchar('\n');
    if (strchr(command->arguments, '|')) {
        fish_seen(command->name);
        printf("-f -a '");
        print_choices(command->arguments);
        printf("'\n");
    }
    fish_options(command->name, command->options);
    if (command->on_bus)
        fish_options(command->name, bus_options_common);
}

static void print_fish(void)
{
    printf("# Completion of mcpbus; made by mcpbus completion fish.\ncomplete -c mcpbus -f\n");
    for (size_t i = 0; i < command_count; i++) {
        char name[64];
        if (*group_of(i, name) && !command_row(name))
            printf("complete -c mcpbus -f -n '__fish_use_subcommand' -a %s\n", name);
    }
    for (size_t i = 0; i < command_count; i++)
        fish_command(&commands[i]);
}

int cmd_completion(int argc, char **argv)
{
    struct args args;
    if (args_parse("completion", argc, argv, 1, 1, &args))
        return CLI_USAGE;
    if (!strcmp(args.words[0], "bash")) {
        print_bash();
    } else if (!strcmp(args.words[0], "zsh")) {
        printf("autoload -U +X bashcompinit && bashcompinit\n");
        print_bash();
    } else if (!strcmp(args.words[0], "fish")) {
        print_fish();
    } else {
        output_say(stderr, "mcpbus completion: it knows bash, zsh and fish, not %s\n",
                   args.words[0]);
        return CLI_USAGE;
    }
    return CLI_OK;
}
