#include <stdio.h>

#include "services/google/resources.h"

enum err drive_resource(struct api *api, const char *id, const char *uri, json_t **ret_contents,
                        char ret_why[API_WHY_SIZE])
{
    (void)api, (void)uri, (void)ret_contents;
    snprintf(ret_why, API_WHY_SIZE, "There is no resource %.100s.", id);
    return ERR_NOT_FOUND;
}
