/* Certificates: what is accepted says the same when it is written and read again. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/bus_cert.h"
#include "libcommon/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bus_cert cert, again;
    char why[BUS_WHY_SIZE];
    memset(&cert, 0, sizeof cert);
    memset(&again, 0, sizeof again);
    if (bus_cert_parse((const char *)data, size, &cert, why) != ERR_OK)
        return 0;
    char *text = bus_cert_format(&cert, *cert.secret_key != '\0');
    if (bus_cert_check(&cert, why) != ERR_OK ||
        bus_cert_parse(text, strlen(text), &again, why) != ERR_OK ||
        memcmp(&cert, &again, sizeof cert) != 0)
        abort();
    mem_free_secret(&text);
    return 0;
}
