/*
 * A client that costs little: sessions that run the query of `pgbench -S`, prepared, one transaction after the other.
 * overhead.py builds and drives it.
 *
 *   select_client ROWS CONNINFO...      prints the process of each session
 *   SESSION TRANSACTIONS SEED           a line of the input: a block of them; prints the nanoseconds of CPU that the
 *                                       session's process took for it. The same seed is the same rows.
 */
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8 };

static PGconn *sessions[MOST];

static _Noreturn void give_up(const char *why)
{
	fprintf(stderr, "select_client: %s\n", why);
	exit(1);
}

static int64_t cpu_ns(int pid)
{
	struct timespec time;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
		give_up("a session's process is gone");
	return (int64_t) time.tv_sec * 1000000000 + time.tv_nsec;
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int64_t block(PGconn *session, int transactions, uint64_t seed, int rows)
{
	const int pid = PQbackendPID(session);
	const int64_t before = cpu_ns(pid);
	char key[16];
	const char *values[1] = {key};
	uint64_t state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);

	for (int i = 0; i < transactions; ++i)
	{
		snprintf(key, sizeof key, "%d", (int) (next(&state) % (uint64_t) rows) + 1);
		PGresult *result = PQexecPrepared(session, "one", 1, values, NULL, NULL, 0);

		if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
			give_up(PQerrorMessage(session));
		PQclear(result);
	}
	return cpu_ns(pid) - before;
}

int main(int count, char **arguments)
{
	const int rows = count > 1 ? atoi(arguments[1]) : 0;
	unsigned session;
	int transactions;
	unsigned long seed;

	if (rows <= 0 || count < 3 || count - 2 > MOST)
		give_up("wants a number of rows, and conninfos");
	for (int i = 0; i < count - 2; ++i)
	{
		sessions[i] = PQconnectdb(arguments[i + 2]);
		PQclear(PQprepare(sessions[i], "one", "SELECT abalance FROM pgbench_accounts WHERE aid = $1", 0, NULL));
		if (PQstatus(sessions[i]) != CONNECTION_OK)
			give_up(PQerrorMessage(sessions[i]));
		printf("%d\n", PQbackendPID(sessions[i]));
	}
	fflush(stdout);
	while (scanf("%u %d %lu", &session, &transactions, &seed) == 3 && session < (unsigned) (count - 2))
	{
		printf("%lld\n", (long long) block(sessions[session], transactions, seed, rows));
		fflush(stdout);
	}
	return 0;
}
