import os from 'node:os'

/** Where and when something was measured. */
export interface Machine {
  /** UTC, to the minute: 2026-01-31 12:00 UTC. */
  readonly date: string
  readonly processor: string
  /** Cores that the process may use. */
  readonly cores: number
  readonly memoryBytes: number
  /** Kind and version of the operating system. */
  readonly system: string
  readonly node: string
  /** Processes that wanted to run, averaged over the minute before the start; 0 is a quiet machine. */
  readonly loadBefore: number
}

/** Describes this machine, at this moment. */
export function describeMachine(now: Date = new Date()): Machine {
  return {
    date: `${now.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    processor: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.versions.node,
    loadBefore: os.loadavg()[0] ?? 0,
  }
}
