/* Drive's ids and links, email addresses, files of the server. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/google/addresses.h"
#include "services/google/drive_file.h"
#include "services/google/local_file.h"

static void expect_id(const char *text, const char *expected)
{
    char id[DRIVE_ID_SIZE] = "untouched";
    assert_int_equal(drive_read_id(text, id), expected != NULL);
    assert_string_equal(id, expected ? expected : "untouched");
}

static void ids_and_links(void **state)
{
    (void)state;
    expect_id("1aB-_9", "1aB-_9");
    expect_id("  1aB ", "1aB");
    expect_id("root", "root");
    expect_id("https://docs.google.com/document/d/1aB-_9/edit?usp=drivesdk", "1aB-_9");
    expect_id("https://docs.google.com/document/d/1aB-_9#heading=h.1", "1aB-_9");
    expect_id("https://drive.google.com/drive/folders/1aB", "1aB");
    expect_id("https://drive.google.com/open?id=1aB&authuser=0", "1aB");
    expect_id("http://x/file/d/1aB/view", "1aB");
    static const char *const bad[] = {"",
                                      " ",
                                      "../labels",
                                      "a b",
                                      "a/b",
                                      "a?x=y",
                                      "https://drive.google.com/",
                                      "https://x/d/",
                                      "https://x/d/a%2fb",
                                      "1a'or'1",
                                      "ftp://x/d/1a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_id(bad[i], NULL);
    char longer[400];
    memset(longer, 'a', sizeof longer);
    longer[DRIVE_ID_SIZE - 1] = '\0';
    assert_true(drive_read_id(longer, (char[DRIVE_ID_SIZE]){0}));
    longer[DRIVE_ID_SIZE - 1] = 'a';
    longer[DRIVE_ID_SIZE] = '\0';
    expect_id(longer, NULL);
}

static void expect_addresses(const char *json, const char *expected, const char *bad_one)
{
    char bad[ADDRESS_SIZE] = "";
    AUTOJSON json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    AUTOJSON json_t *list = addresses_read(value, bad);
    assert_non_null(value);
    if (!expected) {
        assert_null(list);
        assert_string_equal(bad, bad_one);
        return;
    }
    AUTOFREE char *text = js_dump(list);
    assert_string_equal(text, expected);
}

static void addresses(void **state)
{
    (void)state;
    expect_addresses("\"\"", "[]", NULL);
    expect_addresses("[]", "[]", NULL);
    expect_addresses("\"ann@x.org\"", "[\"ann@x.org\"]", NULL);
    expect_addresses("\" ann@x.org ,bob@x.org; ,eve@x.org\\n\"",
                     "[\"ann@x.org\",\"bob@x.org\",\"eve@x.org\"]", NULL);
    expect_addresses("[\"Ann <ann@x.org>\", \"ANN@x.org\"]", "[\"ann@x.org\"]", NULL);
    expect_addresses("\"\\\"Smith, Ann\\\" <ann@x.org>, bob@x.org\"",
                     "[\"ann@x.org\",\"bob@x.org\"]", NULL);
    expect_addresses("[\"a@x.org, b@x.org\"]", "[\"a@x.org\",\"b@x.org\"]", NULL);
    expect_addresses("[\"ann\"]", NULL, "ann");
    expect_addresses("[\"a@x.org\",\"b@\"]", NULL, "b@");
    expect_addresses("\"a@@x\"", NULL, "a@@x");
    expect_addresses("\"a b@x.org\"", NULL, "a b@x.org");
    char address[ADDRESS_SIZE];
    assert_true(address_read("Ann <ann@x.org>", address));
    assert_string_equal(address, "ann@x.org");
    assert_false(address_read("a@x.org, b@x.org", address));
    assert_false(address_read("a@x.org\r\nBcc: b@x.org", address));
}

static void too_many_addresses(void **state)
{
    (void)state;
    char bad[ADDRESS_SIZE] = "x";
    AUTOJSON json_t *many = json_array();
    for (int i = 0; i <= ADDRESSES_MAX; i++) {
        AUTOFREE char *one = mem_printf("a%d@x.org", i);
        json_array_append_new(many, json_string(one));
    }
    assert_null(addresses_read(many, bad));
    assert_string_equal(bad, "");
}

/* A folder with a file, a folder in it, and links that lead out. */
struct place {
    char base[64], folder[80], outside[80];
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_place(void **state)
{
    struct place *place = mem_alloc(sizeof *place);
    strcpy(place->base, "/tmp/mcpbus-files-XXXXXX");
    assert_non_null(mkdtemp(place->base));
    snprintf(place->folder, sizeof place->folder, "%s/up", place->base);
    snprintf(place->outside, sizeof place->outside, "%s/secret", place->base);
    AUTOFREE char *inner = mem_printf("%s/in", place->folder);
    AUTOFREE char *link = mem_printf("%s/link", place->folder);
    AUTOFREE char *link_folder = mem_printf("%s/linked", place->folder);
    AUTOFREE char *fifo = mem_printf("%s/fifo", place->folder);
    assert_int_equal(mkdir(place->folder, 0700), 0);
    assert_int_equal(mkdir(inner, 0700), 0);
    AUTOFREE char *first = mem_printf("%s/a.txt", place->folder);
    AUTOFREE char *second = mem_printf("%s/in/b.txt", place->folder);
    write_file(first, "content");
    write_file(second, "content");
    write_file(place->outside, "secret");
    assert_int_equal(symlink(place->outside, link), 0);
    assert_int_equal(symlink(place->base, link_folder), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    *state = place;
    return 0;
}

static int drop_place(void **state)
{
    static const char *const names[] = {"up/a.txt",  "up/in/b.txt", "up/in", "up/link",
                                        "up/linked", "up/fifo",     "up",    "secret"};
    struct place *place = *state;
    int failed = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        AUTOFREE char *path = mem_printf("%s/%s", place->base, names[i]);
        failed |= remove(path);
    }
    failed |= remove(place->base);
    free(place);
    return failed;
}

static enum err open_it(const struct place *place, const char *path, int64_t max)
{
    char why[LOCAL_WHY_SIZE] = "";
    int64_t size = -1;
    int fd = -1;
    enum err err = local_open(place->folder, path, max, &fd, &size, why);
    assert_int_equal(err == ERR_OK, *why == '\0');
    assert_int_equal(err == ERR_OK, fd >= 0);
    if (fd >= 0) {
        assert_int_equal(size, 7);
        close(fd);
    }
    return err;
}

static void files_of_the_folder_alone(void **state)
{
    const struct place *place = *state;
    AUTOFREE char *absolute = mem_printf("%s/in/b.txt", place->folder);
    AUTOFREE char *beside = mem_printf("%s-other/a.txt", place->folder);
    assert_int_equal(open_it(place, "a.txt", 7), ERR_OK);
    assert_int_equal(open_it(place, "in/b.txt", 100), ERR_OK);
    assert_int_equal(open_it(place, "./in//b.txt", 100), ERR_OK);
    assert_int_equal(open_it(place, absolute, 100), ERR_OK);
    assert_int_equal(open_it(place, "a.txt", 6), ERR_DENIED);
    assert_int_equal(open_it(place, "none.txt", 100), ERR_NOT_FOUND);
    assert_int_equal(open_it(place, "a.txt/x", 100), ERR_NOT_FOUND);
    static const char *const outside[] = {"../secret",
                                          "in/../../secret",
                                          "link",
                                          "linked/secret",
                                          "/etc/passwd",
                                          "..",
                                          "",
                                          "in",
                                          "fifo",
                                          "/"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_int_not_equal(open_it(place, outside[i], 100), ERR_OK);
    assert_int_equal(open_it(place, place->outside, 100), ERR_DENIED);
    assert_int_equal(open_it(place, beside, 100), ERR_DENIED);
    assert_int_equal(open_it(place, place->folder, 100), ERR_DENIED);
    char deep[4000];
    memset(deep, 'a', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(open_it(place, deep, 100), ERR_DENIED);
    for (size_t i = 0; i + 2 < sizeof deep; i += 2)
        memcpy(deep + i, "./", 2);
    assert_int_equal(open_it(place, deep, 100), ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_links),
        cmocka_unit_test(addresses),
        cmocka_unit_test(too_many_addresses),
        cmocka_unit_test_setup_teardown(files_of_the_folder_alone, make_place, drop_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
