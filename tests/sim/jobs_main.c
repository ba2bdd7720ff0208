/* The jobs service as it is, its main under another name. */
int sim_jobs_main(int argc, char **argv);
#define main sim_jobs_main
#include "services/jobs/main.c"
