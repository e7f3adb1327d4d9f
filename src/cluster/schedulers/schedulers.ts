import { kubernetes } from './kubernetes.js'
import { ray } from './ray.js'
import type { Scheduler } from './scheduler.js'
import { slurm } from './slurm.js'

/** The systems that a grid of runs can be given to, by the names that users type. */
export const schedulers = { slurm, kubernetes, ray } as const satisfies Readonly<Record<string, Scheduler>>

/** The name of a scheduler. */
export type SchedulerName = keyof typeof schedulers
