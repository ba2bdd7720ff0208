/* mcpbus-files: does one job on one file that anyone may have made, and ends: from standard input
 * (a regular file) to standard output, confined (confine.h). The exit status is an enum
 * err. mcpbus-google starts it, so that a parser's crash or worse touches nothing of the user's. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/files/confine.h"
#include "services/files/files.h"

typedef enum err job_fn(const void *data, size_t len, struct buf *out);

static const struct {
    const char *name;
    job_fn *fn;
    size_t output_max;
} jobs[] = {
    {"pdf", files_pdf_to_text, FILES_TEXT_MAX},
    {"docx", files_docx_to_text, FILES_TEXT_MAX},
    {"make-pdf", files_make_pdf, FILES_PDF_MAX},
};

static enum err print(const struct buf *out)
{
    const char *at = buf_text(out);
    size_t left = out->len;
    while (left) {
        ssize_t n = write(STDOUT_FILENO, at, left);
        if (n <= 0)
            return ERR_PEER_LOST;
        at += n;
        left -= (size_t)n;
    }
    return ERR_OK;
}

static enum err work(job_fn *fn, size_t output_max)
{
    struct stat stat;
    struct buf out;
    if (fstat(STDIN_FILENO, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_size == 0)
        return ERR_INVALID;
    if (stat.st_size > FILES_INPUT_MAX)
        return ERR_TOO_LARGE;
    size_t len = (size_t)stat.st_size;
    void *data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
    if (data == MAP_FAILED)
        return ERR_INTERNAL;
    buf_init(&out, output_max);
    enum err err = fn(data, len, &out);
    if (!err)
        err = print(&out);
    buf_fini(&out);
    munmap(data, len);
    return err;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof jobs / sizeof *jobs; i++) {
        if (strcmp(jobs[i].name, argv[1]) != 0)
            continue;
        if (confine() != ERR_OK)
            _exit(ERR_INTERNAL);
        /* Without the libraries' own cleaning up: what they keep ends with the process. */
        _exit((int)work(jobs[i].fn, jobs[i].output_max));
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("mcpbus-files " MCPBUS_VERSION) < 0;
    fputs("mcpbus-files pdf|docx|make-pdf: a part of mcpbus-google, which starts it itself\n",
          stderr);
    return ERR_INVALID;
}
