/** A measuring process: does the job that is its argument, as JSON, and prints one JSON line. */
import type { Job } from './jobs.js'
import { measureJob } from './measure-job.js'

const job = JSON.parse(process.argv[2] ?? '') as Job
console.log(JSON.stringify(await measureJob(job)))
