/* The key folder of the bus: every file NAME.key in it is a public certificate (bus_cert.h), and a
 * process has one secret certificate, NAME.key_secret. Reading is bounded and fails closed: what is
 * not a good certificate counts for nothing. Owner's thread only. */
#ifndef MCPBUS_BUS_KEYS_H
#define MCPBUS_BUS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/bus_cert.h"

enum { BUS_KEYS_MAX = 1024, BUS_KEYS_FILE_SIZE = 256 };

struct bus_keys;

/* Reads a folder. ERR_INVALID: it can't be read or holds too many files; `ret_why` has the line for
 * the user. Of a key that two files give different rights none counts. */
MUST_CHECK enum err bus_keys_load(const char *folder, struct bus_keys **ret_keys,
                                  char ret_why[BUS_WHY_SIZE]);
void bus_keys_destroy(struct bus_keys **keys_p);

size_t bus_keys_count(const struct bus_keys *keys);
const struct bus_cert *bus_keys_at(const struct bus_keys *keys, size_t index);
/* NULL: the folder has no such key. */
const struct bus_cert *bus_keys_find(const struct bus_keys *keys, const char *public_key);
/* The first file that is no good certificate, and what is wrong with it; NULL: all are. */
const char *bus_keys_complaint(const struct bus_keys *keys);

/* Changes when a file of the folder is added, changed or removed; 0: it can't be read. */
uint64_t bus_keys_stamp(const char *folder);

/* Reads a secret certificate. ERR_INVALID likewise, for a file too that others than its owner and
 * group can read. The caller wipes it (bus_cert_wipe). */
MUST_CHECK enum err bus_keys_load_secret(const char *path, struct bus_cert *ret_cert,
                                         char ret_why[BUS_WHY_SIZE]);

#endif
