// One queue of npm, no-op jobs: node queue.mjs graphile-worker|pg-boss|bullmq JOBS LATENCY-JOBS
// DATABASE_URL or REDIS_PORT in the environment. Submitting and working share this process.
import process from "node:process";

const CALLERS = 64;
const [, , name, jobsText, latencyText] = process.argv;
const JOBS = Number(jobsText);
const LATENCY_JOBS = Number(latencyText);

let done = 0;
let wanted = Infinity;
let resolveDone = () => {};

function jobDone(count = 1) {
    done += count;
    if (done >= wanted) {
        resolveDone();
    }
}

// A promise of `count` more jobs done.
function expect(count) {
    done = 0;
    wanted = count;
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${done} of ${count} in 120 s`)), 120000);
        resolveDone = () => {
            clearTimeout(timer);
            resolve();
        };
    });
}

// Handlers return before their jobs' ends are committed: a queue is done when its table says so.
async function settle(client, query) {
    while ((await client.query(query)).rows[0].left) {
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
}

async function graphileWorker() {
    const { run, makeWorkerUtils, Logger } = await import("graphile-worker");
    const { default: pg } = await import("pg");
    const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 20 });
    const logger = new Logger(() => () => {});
    const utils = await makeWorkerUtils({ pgPool: pool, logger });
    await utils.migrate();
    let runner;
    return {
        keeps: "deletes a job's row when it is done",
        add: () => utils.addJob("noop", { message: "hello" }),
        start: async () => {
            runner = await run({
                pgPool: pool,
                taskList: { noop: async () => jobDone() },
                noHandleSignals: true,
                preset: {
                    worker: {
                        logger,
                        concurrentJobs: 24,
                        pollInterval: 1000,
                        localQueue: { size: 500 },
                        completeJobBatchDelay: 0,
                        failJobBatchDelay: 0,
                    },
                },
            });
        },
        settled: () =>
            settle(pool, "SELECT EXISTS (SELECT FROM graphile_worker._private_jobs) AS left"),
        stop: () => runner.stop(),
        close: async () => {
            await utils.release();
            await pool.end();
        },
    };
}

async function pgBoss() {
    const { default: PgBoss } = await import("pg-boss");
    const { default: pg } = await import("pg");
    const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 });
    const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, max: 20 });
    boss.on("error", (error) => console.error(error));
    await boss.start();
    await boss.createQueue("noop");
    const options = { batchSize: 5000, pollingIntervalSeconds: 0.5 };
    return {
        keeps: "keeps done jobs, archived after twelve hours",
        add: () => boss.send("noop", { message: "hello" }),
        start: async () => {
            for (let i = 0; i < 4; i++) {
                await boss.work("noop", options, async (jobs) => jobDone(jobs.length));
            }
        },
        settled: () =>
            settle(
                pool,
                "SELECT EXISTS (SELECT FROM pgboss.job WHERE name = 'noop' AND state IN" +
                    " ('created', 'retry', 'active')) AS left",
            ),
        stop: () => boss.offWork("noop"),
        close: async () => {
            await boss.stop({ graceful: false });
            await pool.end();
        },
    };
}

async function bullmq() {
    const { Queue, Worker } = await import("bullmq");
    const connection = {
        host: "127.0.0.1",
        port: Number(process.env.REDIS_PORT),
        maxRetriesPerRequest: null,
    };
    const queue = new Queue("noop", { connection });
    await queue.waitUntilReady();
    let worker;
    return {
        keeps: "keeps done jobs in memory, in Redis",
        add: () => queue.add("noop", { message: "hello" }),
        start: async () => {
            worker = new Worker("noop", async () => {}, { connection, concurrency: 256 });
            worker.on("completed", () => jobDone());
            await worker.waitUntilReady();
        },
        settled: async () => {}, // "completed" comes behind Redis' answer
        stop: () => worker.close(),
        close: () => queue.close(),
    };
}

async function addAll(queue, count) {
    let left = count;
    const caller = async () => {
        while (left-- > 0) {
            await queue.add();
        }
    };
    await Promise.all(Array.from({ length: CALLERS }, caller));
}

const seconds = (since) => Number(process.hrtime.bigint() - since) / 1e9;
const percentile = (sorted, part) => sorted[Math.floor(part * sorted.length)] * 1000;

const queue = await { "graphile-worker": graphileWorker, "pg-boss": pgBoss, bullmq }[name]();
await addAll(queue, 200);
await queue.start();
await expect(200);
await queue.settled();
await queue.stop();

let begun = process.hrtime.bigint();
await addAll(queue, JOBS);
console.log(`accept: ${(JOBS / seconds(begun)).toFixed(1)}`);

begun = process.hrtime.bigint();
let all = expect(JOBS);
await queue.start();
await all;
await queue.settled();
console.log(`drain: ${(JOBS / seconds(begun)).toFixed(1)}`);

begun = process.hrtime.bigint();
all = expect(JOBS);
await addAll(queue, JOBS);
await all;
await queue.settled();
console.log(`live: ${(JOBS / seconds(begun)).toFixed(1)}`);

const latencies = [];
for (let i = 0; i < LATENCY_JOBS; i++) {
    begun = process.hrtime.bigint();
    all = expect(1);
    await queue.add();
    await all;
    latencies.push(seconds(begun));
}
latencies.sort((a, b) => a - b);
console.log(`p50_ms: ${percentile(latencies, 0.5).toFixed(3)}`);
console.log(`p99_ms: ${percentile(latencies, 0.99).toFixed(3)}`);
console.log(`keeps: ${queue.keeps}`);

await queue.stop();
await queue.close();
process.exit(0);
