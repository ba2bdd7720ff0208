#include "services/broker/policy.h"

#include <stdio.h>
#include <string.h>

static bool is_named(const struct bus_cert *cert, const char *service, const char *method)
{
    char name[2 * BUS_CERT_NAME_SIZE];
    snprintf(name, sizeof name, "%s.%s", service, method);
    return bus_cert_lists(cert->call, name);
}

bool policy_may_call(const struct bus_cert *cert, const char *service, const char *method)
{
    if (cert->role == PROTO_ROLE_ADMIN)
        return true;
    if (cert->role == PROTO_ROLE_CLIENT && *cert->call)
        return is_named(cert, service, method);
    const struct proto_method *known = proto_method_find(service, method);
    return known && known->callers & 1u << cert->role;
}

bool policy_may_serve(const struct bus_cert *cert, const char *service)
{
    if (proto_is_builtin(service))
        return proto_role_serves(cert->role) && strcmp(service, proto_role_name(cert->role)) == 0;
    return cert->role == PROTO_ROLE_CLIENT && bus_cert_lists(cert->serve, service);
}

bool policy_may_connect(const struct bus_cert *cert)
{
    return cert->role != PROTO_ROLE_BROKER;
}
