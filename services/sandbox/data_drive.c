/* Invented files. */
#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/data.h"

#define DAY_MS INT64_C(86400000)
#define GOOGLE_APP "application/vnd.google-apps."

static const struct paper {
    const char *name, *type, *text;
    int folder; /* index of the folder that holds it, -1: the root */
} PAPERS[] = {
    {"Projects", GOOGLE_APP "folder", NULL, -1},
    {"Recipes", GOOGLE_APP "folder", NULL, -1},
    {"Archive", GOOGLE_APP "folder", NULL, 0},
    {"Project plan", GOOGLE_APP "document",
     "Project plan\nThe bus carries every message once.\nMilestones: draft, review, release.\n", 0},
    {"Meeting notes", GOOGLE_APP "document",
     "Meeting notes\nWe agreed to measure first.\nAlan brings the coffee.\n", -1},
    {"Travel diary", GOOGLE_APP "document", "Travel diary\nLisbon, day one: rain and tiles.\n", -1},
    {"Budget", GOOGLE_APP "spreadsheet", "Item,Amount\nRent,1200\nTravel,480\nBooks,95\n", 0},
    {"Quarterly report.pdf", "application/pdf",
     "Quarterly report\nRevenue grew by 12 percent.\nCosts fell.", 0},
    {"Contract.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
     "Contract\nThe parties agree to review it yearly.", 0},
    {"todo.txt", "text/plain", "water the plants\ncall the dentist\nfix the queue\n", -1},
    {"readme.md", "text/markdown", "# Telescope\n\nHow the mirror is aligned.\n", 2},
    {"Pumpkin soup.txt", "text/plain", "One pumpkin, two onions, a litre of stock.\n", 1},
    {"Apple cake.txt", "text/plain", "Four apples, butter, sugar, eggs, flour.\n", 1},
    {"measurements.csv", "text/csv", "run,ms\n1,3.1\n2,2.9\n3,3.0\n", 2},
    {"settings.json", "application/json", "{\"theme\": \"dark\", \"language\": \"en\"}\n", -1},
    {"Letter to O'Brien", GOOGLE_APP "document", "Dear O'Brien,\nthank you for the lamp.\n", -1},
};

void file_root_id(const struct account *account, char id[ITEM_ID_SIZE])
{
    data_id(account->email, "root", 0, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012345",
            17, id + 2);
    memcpy(id, "0A", 2);
}

static json_t *owner(const struct account *account)
{
    return json_pack("{s:s, s:s, s:b, s:s, s:s}", "kind", "drive#user", "displayName",
                     account->name, "me", 1, "permissionId", account->sub + 1, "emailAddress",
                     account->email);
}

static char *view_link(const char *id, const char *type)
{
    if (strcmp(type, GOOGLE_APP "document") == 0)
        return mem_printf("https://docs.google.com/document/d/%s/edit?usp=drivesdk", id);
    if (strcmp(type, GOOGLE_APP "spreadsheet") == 0)
        return mem_printf("https://docs.google.com/spreadsheets/d/%s/edit?usp=drivesdk", id);
    if (strcmp(type, GOOGLE_APP "folder") == 0)
        return mem_printf("https://drive.google.com/drive/folders/%s", id);
    return mem_printf("https://drive.google.com/file/d/%s/view?usp=drivesdk", id);
}

json_t *file_new(const struct account *account, const char *id, const char *name, const char *type,
                 const char *parent, int64_t created_ms, int64_t modified_ms)
{
    char root[ITEM_ID_SIZE], created[TIME_TEXT_SIZE], modified[TIME_TEXT_SIZE];
    AUTOFREE char *link = view_link(id, type);
    file_root_id(account, root);
    time_rfc3339(created_ms, created);
    time_rfc3339(modified_ms, modified);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:[s], s:s, s:s, s:b, s:b, s:b, s:b, s:s, s:[o], s:o, s:[s], s:s, "
        "s:[{s:s, s:s, s:s, s:s, s:s, s:s}], s:{s:b, s:b, s:b, s:b, s:b}}",
        "kind", "drive#file", "id", id, "name", name, "mimeType", type, "parents",
        parent ? parent : root, "createdTime", created, "modifiedTime", modified, "trashed", 0,
        "starred", 0, "shared", 0, "ownedByMe", 1, "webViewLink", link, "owners", owner(account),
        "lastModifyingUser", owner(account), "spaces", "drive", "version", "1", "permissions",
        "kind", "drive#permission", "id", account->sub + 1, "type", "user", "role", "owner",
        "emailAddress", account->email, "displayName", account->name, "capabilities", "canEdit", 1,
        "canDelete", 1, "canShare", 1, "canCopy", 1, "canDownload", 1);
}

void file_set_content(json_t *file, const void *data, size_t len)
{
    char size[32];
    uint8_t digest[CRYPTO_SHA256_BYTES];
    json_object_del(file, "_grid");
    char checksum[2 * CRYPTO_SHA256_BYTES + 1];
    if (js_is_utf8(data, len)) {
        json_object_del(file, "_data");
        /* Docs ends every paragraph, the last one too. */
        bool open = strcmp(js_str(file, "mimeType", ""), GOOGLE_APP "document") == 0 &&
                    (len == 0 || ((const char *)data)[len - 1] != '\n');
        AUTOFREE char *text = mem_printf("%.*s%s", (int)len, (const char *)data, open ? "\n" : "");
        json_object_set_new(file, "_text", json_string(text));
    } else {
        AUTOFREE char *text = crypto_base64url_encode(data, len);
        json_object_set_new(file, "_data", json_string(text));
        json_object_del(file, "_text");
    }
    if (strncmp(js_str(file, "mimeType", ""), GOOGLE_APP, strlen(GOOGLE_APP)) == 0)
        return;
    snprintf(size, sizeof(size), "%zu", len);
    crypto_sha256(data, len, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(checksum + 2 * i, 3, "%02x", digest[i]);
    json_object_set_new(file, "size", json_string(size));
    json_object_set_new(file, "sha256Checksum", json_string(checksum));
}

void file_content(const json_t *file, uint8_t **ret_data, size_t *ret_len)
{
    const char *data = js_str(file, "_data", NULL), *text = js_str(file, "_text", "");
    if (data && crypto_base64url_decode(data, strlen(data), ret_data, ret_len) == ERR_OK)
        return;
    *ret_data = (uint8_t *)mem_strdup(text);
    *ret_len = strlen(text);
}

/* A document of bytes, which is found by its words. */
static void fill_office(json_t *file, const uint8_t *data, size_t len, const char *words)
{
    AUTOFREE char *text = crypto_base64url_encode(data, len);
    file_set_content(file, data, len);
    json_object_set_new(file, "_data", json_string(text));
    json_object_set_new(file, "_text", json_string(words));
}

static void fill(json_t *file, const struct paper *paper)
{
    size_t len;
    if (strcmp(paper->type, "application/pdf") == 0) {
        AUTOFREE uint8_t *pdf = office_pdf(paper->text, &len);
        fill_office(file, pdf, len, paper->text);
    } else if (strstr(paper->type, "wordprocessingml")) {
        AUTOFREE uint8_t *docx = office_docx(paper->text, &len);
        fill_office(file, docx, len, paper->text);
    } else {
        file_set_content(file, paper->text, strlen(paper->text));
    }
}

json_t *data_files(const struct account *account, int64_t now_ms)
{
    json_t *files = json_array();
    for (unsigned i = 0; i < sizeof(PAPERS) / sizeof(PAPERS[0]); i++) {
        char id[ITEM_ID_SIZE], folder[ITEM_ID_SIZE];
        int64_t modified = now_ms - (1 + data_number(account->email, "age", i) % 60) * DAY_MS;
        data_file_id(account->email, i, id);
        if (PAPERS[i].folder >= 0)
            data_file_id(account->email, (unsigned)PAPERS[i].folder, folder);
        json_t *file =
            file_new(account, id, PAPERS[i].name, PAPERS[i].type,
                     PAPERS[i].folder >= 0 ? folder : NULL, modified - 30 * DAY_MS, modified);
        if (PAPERS[i].text)
            fill(file, &PAPERS[i]);
        json_array_append_new(files, file);
    }
    return files;
}
