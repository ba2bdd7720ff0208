/* The worker service as it is, its main under another name. */
int sim_worker_main(int argc, char **argv);
#define main sim_worker_main
#include "services/worker/main.c"
