/* Starts a command with what a keeper holds, as systemd starts a service. */
#ifndef WEFT_KEEPER_RUN_H
#define WEFT_KEEPER_RUN_H

struct run_options {
  const char *socket_path;
  long long wait_ms; /* for the end of the process that uses what is kept */
  char **command;    /* ends with NULL */
};

/* Becomes the command; returns an exit code where it can't. */
int run(const struct run_options *options);

#endif
