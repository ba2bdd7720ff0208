#include "libcommon/bus_keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/map.h"
#include "libcommon/mem.h"

enum { ENTRIES_MAX = 8192 };

struct bus_keys {
    struct bus_cert *certs[BUS_KEYS_MAX];
    size_t count;
    struct map *by_key;
    char complaint[BUS_WHY_SIZE + BUS_KEYS_FILE_SIZE];
};

static bool is_public_name(const char *name)
{
    size_t len = strlen(name);
    return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".key") == 0;
}

/* Opens a regular file for reading without waiting for whatever else may bear the name. */
static int open_file(int folder, const char *name, struct stat *ret_stat)
{
    int fd = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -1;
    if (fstat(fd, ret_stat) == 0 && S_ISREG(ret_stat->st_mode))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

/* Up to `size` bytes of a file; the length, or −1. */
static ssize_t read_file(int fd, char *into, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, into + len, size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

static enum err read_cert(int fd, struct bus_cert *ret_cert, char ret_why[BUS_WHY_SIZE])
{
    char text[BUS_CERT_MAX_BYTES + 1];
    ssize_t len = read_file(fd, text, sizeof text);
    enum err err = ERR_INVALID;
    if (len < 0)
        snprintf(ret_why, BUS_WHY_SIZE, "%s", strerror(errno));
    else
        err = bus_cert_parse(text, (size_t)len, ret_cert, ret_why);
    explicit_bzero(text, sizeof text);
    return err;
}

static void complain(struct bus_keys *keys, const char *file, const char *why)
{
    if (!*keys->complaint)
        snprintf(keys->complaint, sizeof keys->complaint, "%s: %s", file, why);
}

static void add(struct bus_keys *keys, const char *file, struct bus_cert *cert)
{
    bus_cert_wipe(cert); /* a secret certificate under a public name: its secret is nobody's here */
    for (size_t i = 0; i < keys->count; i++) {
        if (strcmp(keys->certs[i]->public_key, cert->public_key) != 0)
            continue;
        if (!bus_cert_same_rights(keys->certs[i], cert)) {
            complain(keys, file, "another file gives this key other rights, so it has none");
            map_take(keys->by_key, cert->public_key, strlen(cert->public_key));
        }
        return;
    }
    struct bus_cert *kept = mem_alloc(sizeof *kept);
    *kept = *cert;
    keys->certs[keys->count++] = kept;
    map_put(keys->by_key, kept->public_key, strlen(kept->public_key), kept);
}

/* The machine's fault, which would take keys away that are there. */
static bool is_trouble(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO;
}

static bool add_file(struct bus_keys *keys, int folder, const char *name)
{
    struct bus_cert cert;
    struct stat stat;
    char why[BUS_WHY_SIZE] = "";
    int fd = open_file(folder, name, &stat);
    if (fd < 0) {
        complain(keys, name, strerror(errno));
        return !is_trouble(errno);
    }
    if (read_cert(fd, &cert, why) == ERR_OK)
        add(keys, name, &cert);
    else
        complain(keys, name, why);
    close(fd);
    return true;
}

static DIR *open_folder(const char *path, char ret_why[BUS_WHY_SIZE])
{
    DIR *folder = opendir(path);
    if (!folder)
        snprintf(ret_why, BUS_WHY_SIZE, "the folder %.150s can't be read: %s", path,
                 strerror(errno));
    return folder;
}

enum err bus_keys_load(const char *path, struct bus_keys **ret_keys, char ret_why[BUS_WHY_SIZE])
{
    DIR *folder = open_folder(path, ret_why);
    if (!folder)
        return ERR_INVALID;
    struct bus_keys *keys = mem_alloc(sizeof *keys);
    keys->by_key = map_new();
    bool crowded = false, full = false, readable = true;
    const struct dirent *entry = NULL;
    for (int i = 0; !crowded && !full && readable && (entry = readdir(folder)); i++) {
        crowded = i == ENTRIES_MAX;
        full = keys->count == BUS_KEYS_MAX;
        if (!crowded && !full && is_public_name(entry->d_name))
            readable = add_file(keys, dirfd(folder), entry->d_name);
    }
    closedir(folder);
    if (crowded || full || !readable) {
        if (readable)
            snprintf(ret_why, BUS_WHY_SIZE, "the folder %.150s holds more than %d %s", path,
                     full ? BUS_KEYS_MAX : ENTRIES_MAX, full ? "keys" : "files");
        else
            snprintf(ret_why, BUS_WHY_SIZE, "the files of the folder %.150s can't be read", path);
        bus_keys_destroy(&keys);
        return ERR_INVALID;
    }
    *ret_keys = keys;
    return ERR_OK;
}

void bus_keys_destroy(struct bus_keys **keys_p)
{
    struct bus_keys *keys = *keys_p;
    if (!keys)
        return;
    map_destroy(&keys->by_key);
    for (size_t i = 0; i < keys->count; i++)
        free(keys->certs[i]);
    free(keys);
    *keys_p = NULL;
}

size_t bus_keys_count(const struct bus_keys *keys)
{
    return keys->count;
}

const struct bus_cert *bus_keys_at(const struct bus_keys *keys, size_t index)
{
    return keys->certs[index];
}

const struct bus_cert *bus_keys_find(const struct bus_keys *keys, const char *public_key)
{
    return map_get(keys->by_key, public_key, strlen(public_key));
}

const char *bus_keys_complaint(const struct bus_keys *keys)
{
    return *keys->complaint ? keys->complaint : NULL;
}

/* FNV-1a; the order of a folder's entries is the file system's, so entries are summed up. */
static uint64_t hash(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < len; i++)
        seed = (seed ^ at[i]) * 1099511628211ULL;
    return seed;
}

static uint64_t stamp_of(int folder, const char *name)
{
    struct stat stat;
    if (fstatat(folder, name, &stat, 0) != 0)
        return 0;
    const uint64_t parts[] = {stat.st_dev,
                              stat.st_ino,
                              (uint64_t)stat.st_size,
                              (uint64_t)stat.st_mtim.tv_sec,
                              (uint64_t)stat.st_mtim.tv_nsec,
                              (uint64_t)stat.st_ctim.tv_sec,
                              (uint64_t)stat.st_ctim.tv_nsec,
                              stat.st_mode};
    return hash(parts, sizeof parts, hash(name, strlen(name), 14695981039346656037ULL));
}

uint64_t bus_keys_stamp(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return 0;
    uint64_t stamp = 1;
    const struct dirent *entry = NULL;
    for (int i = 0; i <= ENTRIES_MAX && (entry = readdir(folder)); i++)
        if (is_public_name(entry->d_name))
            stamp += stamp_of(dirfd(folder), entry->d_name);
    closedir(folder);
    return stamp ? stamp : 1;
}

enum err bus_keys_load_secret(const char *path, struct bus_cert *ret_cert,
                              char ret_why[BUS_WHY_SIZE])
{
    struct bus_cert cert = {0};
    struct stat stat;
    char why[BUS_WHY_SIZE] = "";
    int fd = open_file(AT_FDCWD, path, &stat);
    enum err err = ERR_INVALID;
    if (fd < 0)
        snprintf(why, sizeof why, "%s", strerror(errno));
    else if (stat.st_mode & (S_IWGRP | S_IRWXO))
        snprintf(why, sizeof why, "others can read it; chmod 600 it");
    else
        err = read_cert(fd, &cert, why);
    if (fd >= 0)
        close(fd);
    if (!err && !*cert.secret_key) {
        snprintf(why, sizeof why, "it has no secret key");
        err = ERR_INVALID;
    }
    if (err)
        snprintf(ret_why, BUS_WHY_SIZE, "the key %.120s can't be used: %.110s", path, why);
    else
        *ret_cert = cert;
    bus_cert_wipe(&cert);
    return err;
}
