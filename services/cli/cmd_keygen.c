/* mcpbus keygen: makes certificates of the bus, and rotates them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/bus_keys.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/args.h"
#include "services/cli/output.h"
#include "services/settings.h"

enum { ROLES_MAX = 16 };

static json_t *told; /* with --json: what was done; NULL: it is printed as it happens */

static int fail(const char *path, const char *why)
{
    output_say(stderr, "mcpbus keygen: %s: %s\n", path, why);
    return CLI_FAILED;
}

/* {"did": "made", "kept", "rotated" or "retired", "name", "public", "secret"}; true: no more is to
 * be said. */
static bool tell(const char *did, const char *name, const char *public, const char *secret)
{
    if (told)
        json_array_append_new(told, json_pack("{s:s, s:s, s:s, s:s?}", "did", did, "name", name,
                                              "public", public, "secret", secret));
    return told != NULL;
}

static char *path_of(const char *folder, const char *name, const char *suffix)
{
    return mem_printf("%s/%s%s", folder, name, suffix);
}

static bool write_all(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len) {
        ssize_t done = write(fd, text, len);
        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0) {
            text += done;
            len -= (size_t)done;
        }
    }
    return fsync(fd) == 0;
}

/* Who could use the old file can use the new one: a service's user, by its group. */
static bool keep_access(int fd, const char *path, mode_t *mode)
{
    struct stat old;
    if (stat(path, &old) != 0)
        return errno == ENOENT;
    *mode = (old.st_mode & S_IRGRP) | *mode;
    return fchown(fd, old.st_uid, old.st_gid) == 0;
}

/* Whole or not at all. Without `replace` a file that is there stays, and errno is EEXIST. */
static bool write_file(const char *path, const char *text, mode_t mode, bool replace)
{
    AUTOFREE char *part = mem_printf("%s.%ld.part", path, (long)getpid());
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool good =
        (!replace || keep_access(fd, path, &mode)) && fchmod(fd, mode) == 0 && write_all(fd, text);
    close(fd);
    good = good && (replace ? rename(part, path) : link(part, path)) == 0;
    int error = errno;
    unlink(part);
    errno = error;
    return good;
}

static bool write_cert(const char *path, const struct bus_cert *cert, bool secret, bool replace)
{
    char *text = bus_cert_format(cert, secret);
    bool good = write_file(path, text, secret ? 0600 : 0644, replace);
    mem_free_secret(&text);
    return good;
}

/* Brokers overlook hidden files; NAME.old is a key that was rotated. */
static bool is_file_name(const char *name)
{
    size_t len = strlen(name);
    return name[0] != '.' && (len < 4 || strcmp(name + len - 4, ".old") != 0);
}

/* The secret goes first: a public certificate alone would admit a key that nobody has. */
static int make(const char *folder, struct bus_cert *cert)
{
    AUTOFREE char *public = path_of(folder, cert->name, ".key");
    AUTOFREE char *secret = path_of(folder, cert->name, ".key_secret");
    char why[BUS_WHY_SIZE];
    if (bus_cert_check(cert, why) != ERR_OK)
        return fail(cert->name, why);
    if (!is_file_name(cert->name))
        return fail(cert->name, "a name neither begins with a dot nor ends with .old");
    if (access(public, F_OK) == 0 || access(secret, F_OK) == 0) {
        if (!tell("kept", cert->name, public, NULL))
            output_say(stdout, "kept %s\n", public);
        return CLI_OK;
    }
    bus_cert_generate(cert);
    bool good = write_cert(secret, cert, true, false) && write_cert(public, cert, false, false);
    bus_cert_wipe(cert);
    if (!good)
        return fail(public, strerror(errno));
    if (!tell("made", cert->name, public, secret))
        output_say(stdout, "made %s, and its secret for the %s alone: %s\n", public,
                   proto_role_name(cert->role), secret);
    return CLI_OK;
}

static int copy_text(char *into, size_t size, const char *text, const char *option)
{
    if (strlen(text) >= size)
        return fail(option, "too long");
    memcpy(into, text, strlen(text) + 1);
    return CLI_OK;
}

static int make_role(const char *folder, const char *role, const char *name, const char *call,
                     const char *serve)
{
    struct bus_cert cert = {.role = PROTO_ROLE_CLIENT};
    if (!proto_role_parse(role, &cert.role))
        return fail(role, "the roles are broker, gateway, auth, jobs, worker, monitor, admin and "
                          "client");
    int status = copy_text(cert.name, sizeof cert.name, name, "--name");
    if (!status)
        status = copy_text(cert.call, sizeof cert.call, call, "--call");
    if (!status)
        status = copy_text(cert.serve, sizeof cert.serve, serve, "--serve");
    return status ? status : make(folder, &cert);
}

static int make_all(const char *folder)
{
    int status = CLI_OK;
    for (int i = 0; i < PROTO_ROLE_COUNT && !status; i++) {
        const char *role = proto_role_name((enum proto_role)i);
        status = make_role(folder, role, role, "", "");
    }
    return status;
}

/* The rights are those of the public certificate, which the brokers go by: it may have been changed
 * since. */
static bool read_rights(const char *folder, struct bus_cert *cert, char ret_why[BUS_WHY_SIZE])
{
    struct bus_keys *keys = NULL;
    if (bus_keys_load(folder, &keys, ret_why) != ERR_OK)
        return false;
    const struct bus_cert *known = bus_keys_find(keys, cert->public_key);
    if (known)
        *cert = *known;
    else
        snprintf(ret_why, BUS_WHY_SIZE, "its public certificate is not in %.150s", folder);
    bus_keys_destroy(&keys);
    return known != NULL;
}

/* The new public key is there before the new secret is used, and the old one stays until --retire.
 */
static int rotate(const char *folder, const char *name)
{
    AUTOFREE char *public = path_of(folder, name, ".key");
    AUTOFREE char *secret = path_of(folder, name, ".key_secret");
    AUTOFREE char *old = path_of(folder, name, ".old.key");
    struct bus_cert cert;
    char why[BUS_WHY_SIZE];
    if (bus_keys_load_secret(secret, &cert, why) != ERR_OK)
        return fail(name, why);
    bus_cert_wipe(&cert);
    if (!read_rights(folder, &cert, why))
        return fail(name, why);
    if (link(public, old) != 0)
        return fail(old, errno == EEXIST ? "the last rotation has not ended: --retire it first"
                                         : strerror(errno));
    bus_cert_generate(&cert);
    bool good = write_cert(public, &cert, false, true) && write_cert(secret, &cert, true, true);
    bus_cert_wipe(&cert);
    if (!good)
        return fail(public, strerror(errno));
    if (!tell("rotated", name, public, secret))
        output_say(stdout,
                   "%s has a new key pair; the old public key stays valid as %s\n"
                   "next: copy %s, then %s to every folder that has the key, then %s to its owner; "
                   "restart the owner's processes one by one; then mcpbus keygen --retire %s, in "
                   "each folder\n",
                   name, old, old, public, secret, name);
    return CLI_OK;
}

static int retire(const char *folder, const char *name)
{
    AUTOFREE char *old = path_of(folder, name, ".old.key");
    if (unlink(old) != 0)
        return fail(old, errno == ENOENT ? "there is no old key to retire" : strerror(errno));
    if (!tell("retired", name, old, NULL))
        output_say(stdout, "retired %s: connections that use it end within seconds\n", old);
    return CLI_OK;
}

static int run(const struct args *args, const char *folder)
{
    const char *rotated = args_text(args, "--rotate", NULL);
    const char *retired = args_text(args, "--retire", NULL);
    const char *call = args_text(args, "--call", ""), *serve = args_text(args, "--serve", "");
    const char *role = args_text(args, "--role", args->word_count == 1 ? args->words[0] : "");
    const char *name = args_text(args, "--name", role);
    if ((rotated || retired) && (*role || *name || *call || *serve || (rotated && retired)))
        return command_usage("keygen");
    if (rotated || retired)
        return (rotated ? rotate : retire)(folder, rotated ? rotated : retired);
    if (*role && args->word_count <= 1)
        return make_role(folder, role, name, call, serve);
    if (*role || *name || *call || *serve)
        return command_usage("keygen");
    int status = args->word_count ? CLI_OK : make_all(folder);
    for (int i = 0; i < args->word_count && !status; i++)
        status = make_role(folder, args->words[i], args->words[i], "", "");
    return status;
}

/* The folder of the settings, where the command does not say one. */
static const char *default_folder(const char *env_file)
{
    static struct settings settings;
    char why[SETTINGS_WHY_SIZE];
    if (settings_load(settings_table, settings_count, env_file, &settings, NULL, why) == ERR_OK)
        return settings.bus_keys;
    output_say(stderr, "mcpbus keygen: %s\n", why);
    return NULL;
}

int cmd_keygen(int argc, char **argv)
{
    struct args args;
    if (args_parse("keygen", argc, argv, 0, ROLES_MAX, &args))
        return CLI_USAGE;
    const char *folder = args_text(&args, "--dir", NULL);
    if (!folder)
        folder = default_folder(args_text(&args, "--env-file", ".env"));
    if (!folder)
        return CLI_USAGE;
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        return fail(folder, strerror(errno));
    AUTOJSON json_t *list = args_flag(&args, "--json") ? json_array() : NULL;
    told = list;
    int status = run(&args, folder);
    if (told && !status)
        output_json(told);
    return status;
}
