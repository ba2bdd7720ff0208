/* The pages of the sign-in, without any script that they need. Pure. */
#ifndef MCPBUS_MONITOR_LOGIN_PAGE_H
#define MCPBUS_MONITOR_LOGIN_PAGE_H

#include <stdbool.h>

struct login_page {
    bool by_token, by_google;
    const char *fault;  /* what went wrong; NULL: nothing */
    const char *notice; /* what was done; NULL: nothing */
};

/* free() each. */
char *login_page_form(const struct login_page *page);
/* Something that can't go on, and where to begin anew. */
char *login_page_fault(const char *title, const char *text);
/* Goes on to the dashboard by itself: a cookie that is for our own pages alone is not sent while a
 * browser follows redirects that began elsewhere. */
char *login_page_go_on(void);

#endif
