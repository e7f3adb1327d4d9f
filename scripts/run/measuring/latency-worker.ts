/** A measuring process: does the job that is its argument, as JSON, and prints one JSON line. */
import type { WorkerFailure, WorkerJob } from './latency-jobs.js'
import { measureLatency } from './measured-latency.js'
import { prepareModel } from './prepared-model.js'

const job = JSON.parse(process.argv[2] ?? '') as WorkerJob
try {
  console.log(JSON.stringify(await (job.kind === 'latency' ? measureLatency(job) : prepareModel(job))))
} catch (error) {
  console.log(JSON.stringify({ error: (error as Error).message } satisfies WorkerFailure))
}
