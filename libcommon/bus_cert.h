/* Certificates of the bus, in CZMQ's form: a CURVE key pair and what it is for. Reading and writing
 * them is pure; the key folder is bus_keys.h. Any thread. */
#ifndef MCPBUS_BUS_CERT_H
#define MCPBUS_BUS_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "proto/proto.h"

enum {
    BUS_KEY_BYTES = 32,
    BUS_KEY_TEXT_SIZE = 41, /* Z85 and a NUL */
    BUS_CERT_MAX_BYTES = 16 * 1024,
    BUS_CERT_NAME_SIZE = 65,
    BUS_CERT_LIST_SIZE = 4097,
    BUS_WHY_SIZE = 256,
};

struct bus_cert {
    enum proto_role role;
    char name[BUS_CERT_NAME_SIZE];
    char call[BUS_CERT_LIST_SIZE];  /* "jobs.submit,billing.*"; of a client alone */
    char serve[BUS_CERT_LIST_SIZE]; /* "billing,mail"; of a client alone */
    char public_key[BUS_KEY_TEXT_SIZE];
    char secret_key[BUS_KEY_TEXT_SIZE]; /* "": a public certificate */
};

/* Reads a certificate. ERR_INVALID: it is none, is incomplete or says what does not fit, and
 * `ret_why` says why (never a key); then `ret_cert` is untouched. */
MUST_CHECK enum err bus_cert_parse(const char *text, size_t len, struct bus_cert *ret_cert,
                                   char ret_why[BUS_WHY_SIZE]);
/* Would the texts of a certificate's metadata be accepted? Likewise. */
MUST_CHECK enum err bus_cert_check(const struct bus_cert *cert, char ret_why[BUS_WHY_SIZE]);
/* The text of its public file, or of its secret one; mem_free_secret() it. */
char *bus_cert_format(const struct bus_cert *cert, bool secret);
/* Gives it a new key pair. */
void bus_cert_generate(struct bus_cert *cert);
/* Overwrites the secret key. */
void bus_cert_wipe(struct bus_cert *cert);

/* Is an item, or for methods "service.*", in a list with commas? */
bool bus_cert_lists(const char *list, const char *item);

/* The same rights? Names may differ. */
bool bus_cert_same_rights(const struct bus_cert *a, const struct bus_cert *b);

#endif
