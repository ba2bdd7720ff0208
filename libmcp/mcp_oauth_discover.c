#include "libmcp/mcp_oauth_discover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/clock.h"
#include "libcommon/http_client_url.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"

enum { CALL_TIMEOUT_MS = 10 * 1000 };

struct mcp_oauth_discovery {
    struct http_client *http;
    char *server_url, *metadata_url, *wanted_issuer;
    int64_t deadline;
    mcp_oauth_found_fn *found;
    void *arg;
    char *urls[MCP_OAUTH_URLS]; /* where the document that is looked for may lie */
    int count, next;
    bool at_issuer; /* the second of the two documents is looked for */
    bool unclear;   /* a place answered neither with it nor that it isn't there */
    uint64_t call;
    char *issuer;
    struct mcp_oauth_site site;
};

static void look(struct mcp_oauth_discovery *discovery);

void mcp_oauth_site_fini(struct mcp_oauth_site *site)
{
    free(site->resource);
    json_decref(site->document);
    json_decref(site->issuer);
    *site = (struct mcp_oauth_site){0};
}

bool mcp_oauth_public_only(const char *server_url, const char *issuer, const char *url)
{
    struct http_url server;
    if (mcp_oauth_same_origin(server_url, url) || (issuer && mcp_oauth_same_origin(issuer, url)))
        return false;
    return http_url_parse(server_url, &server) != ERR_OK || !server.loopback;
}

static void forget_urls(struct mcp_oauth_discovery *discovery)
{
    for (int i = 0; i < MCP_OAUTH_URLS; i++) {
        free(discovery->urls[i]);
        discovery->urls[i] = NULL;
    }
    discovery->count = discovery->next = 0;
    discovery->unclear = false;
}

/* The callee may destroy the discovery. */
static void finish(struct mcp_oauth_discovery *discovery, const char *why)
{
    struct mcp_oauth_site site = discovery->site;
    discovery->site = (struct mcp_oauth_site){0};
    if (why)
        mcp_oauth_site_fini(&site);
    discovery->found(discovery->arg, why ? NULL : &site, why);
}

static void seek_issuer(struct mcp_oauth_discovery *discovery)
{
    forget_urls(discovery);
    discovery->at_issuer = true;
    discovery->count = mcp_oauth_issuer_urls(discovery->issuer, discovery->urls);
    look(discovery);
}

/* The first of those that it names, or the one that the configuration names. */
static const char *choose_issuer(const struct mcp_oauth_discovery *discovery,
                                 const json_t *document)
{
    size_t index;
    const json_t *item;
    json_array_foreach(json_object_get(document, "authorization_servers"), index, item)
    {
        const char *issuer = json_string_value(item);
        if (discovery->wanted_issuer ? strcmp(issuer, discovery->wanted_issuer) == 0
                                     : mcp_oauth_url_is_safe(discovery->server_url, issuer))
            return issuer;
    }
    return NULL;
}

static void on_resource(struct mcp_oauth_discovery *discovery, const struct http_answer *answer)
{
    char why[MCP_OAUTH_WHY_SIZE];
    json_t *document = NULL;
    if (mcp_oauth_read_resource(answer->body, answer->len, discovery->server_url, &document, why) !=
        ERR_OK) {
        finish(discovery, why);
        return;
    }
    const char *issuer = choose_issuer(discovery, document);
    discovery->site.document = document;
    discovery->site.resource = mem_strdup(js_str(document, "resource", ""));
    if (!issuer) {
        finish(discovery, discovery->wanted_issuer
                              ? "the server names another authorization server than the configured"
                              : "the server names no authorization server with a safe URL");
        return;
    }
    discovery->issuer = mem_strdup(issuer);
    seek_issuer(discovery);
}

static void on_issuer(struct mcp_oauth_discovery *discovery, const struct http_answer *answer)
{
    char why[MCP_OAUTH_WHY_SIZE];
    enum err err = mcp_oauth_read_issuer(answer->body, answer->len, discovery->issuer,
                                         discovery->server_url, &discovery->site.issuer, why);
    /* Nothing said how the issuer of a server of 2025-03-26 is written. */
    if (err && !discovery->site.document) {
        AUTOFREE char *slashed = mem_printf("%s/", discovery->issuer);
        err = mcp_oauth_read_issuer(answer->body, answer->len, slashed, discovery->server_url,
                                    &discovery->site.issuer, why);
    }
    finish(discovery, err ? why : NULL);
}

/* Looked everywhere. */
static void not_there(struct mcp_oauth_discovery *discovery)
{
    struct http_url url;
    if (discovery->unclear || discovery->metadata_url ||
        http_url_parse(discovery->server_url, &url) != ERR_OK) {
        finish(discovery, discovery->at_issuer
                              ? "the authorization server's metadata can't be had"
                              : "the server's protected resource metadata can't be had");
    } else if (!discovery->at_issuer) {
        discovery->issuer =
            mem_strdup(discovery->wanted_issuer ? discovery->wanted_issuer : url.origin);
        discovery->site.resource = mem_strdup(discovery->server_url);
        seek_issuer(discovery);
    } else if (discovery->site.document || discovery->wanted_issuer) {
        finish(discovery, "the authorization server publishes no metadata");
    } else {
        discovery->site.issuer = mcp_oauth_default_issuer(discovery->server_url);
        finish(discovery, NULL);
    }
}

static void on_answer(void *arg, enum err error, const struct http_answer *answer)
{
    struct mcp_oauth_discovery *discovery = arg;
    discovery->call = 0;
    if (error) {
        char why[MCP_OAUTH_WHY_SIZE];
        snprintf(why, sizeof why, "%s: %s",
                 discovery->at_issuer ? "the authorization server's metadata"
                                      : "the server's protected resource metadata",
                 answer->error);
        finish(discovery, why);
    } else if (answer->status == 200 && discovery->at_issuer) {
        on_issuer(discovery, answer);
    } else if (answer->status == 200) {
        on_resource(discovery, answer);
    } else {
        discovery->unclear |= answer->status < 400 || answer->status > 499;
        look(discovery);
    }
}

static void look(struct mcp_oauth_discovery *discovery)
{
    static const char *const headers[] = {"Accept: application/json", NULL};
    if (discovery->next == discovery->count) {
        not_there(discovery);
        return;
    }
    const char *url = discovery->urls[discovery->next++];
    int64_t left = discovery->deadline - clock_ms();
    struct http_call call = {
        .method = "GET",
        .url = url,
        .headers = headers,
        .timeout_ms = left < CALL_TIMEOUT_MS ? left : CALL_TIMEOUT_MS,
        .answer_max = MCP_OAUTH_DOCUMENT_MAX,
        .public_only = mcp_oauth_public_only(discovery->server_url, discovery->wanted_issuer, url),
    };
    discovery->call = http_client_send(discovery->http, &call, on_answer, discovery);
}

struct mcp_oauth_discovery *
mcp_oauth_discovery_new(const struct mcp_oauth_discovery_options *options,
                        mcp_oauth_found_fn *found, void *arg)
{
    struct mcp_oauth_discovery *discovery = mem_alloc(sizeof *discovery);
    discovery->http = options->http;
    discovery->server_url = mem_strdup(options->server_url);
    discovery->metadata_url = mem_strdup_opt(options->metadata_url);
    discovery->wanted_issuer = mem_strdup_opt(options->issuer);
    discovery->deadline = options->deadline;
    discovery->found = found;
    discovery->arg = arg;
    if (discovery->metadata_url) {
        discovery->urls[0] = mem_strdup(discovery->metadata_url);
        discovery->count = 1;
    } else {
        discovery->count = mcp_oauth_resource_urls(options->server_url, discovery->urls);
    }
    look(discovery);
    return discovery;
}

void mcp_oauth_discovery_destroy(struct mcp_oauth_discovery **discovery_p)
{
    struct mcp_oauth_discovery *discovery = *discovery_p;
    if (!discovery)
        return;
    if (discovery->call)
        http_client_cancel(discovery->http, discovery->call);
    forget_urls(discovery);
    mcp_oauth_site_fini(&discovery->site);
    free(discovery->server_url);
    free(discovery->metadata_url);
    free(discovery->wanted_issuer);
    free(discovery->issuer);
    free(discovery);
    *discovery_p = NULL;
}
