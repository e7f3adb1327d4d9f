import { Worker } from 'node:worker_threads'

/** A parent that is killed cannot end its child; the operating system then gives the child another parent. */
const CODE = `
const { workerData } = require('node:worker_threads')
setInterval(() => {
  if (process.ppid !== workerData) process.kill(process.pid, 'SIGKILL')
}, 300)
`

/**
 * Ends this process soon after its parent has ended for any reason, even if this thread is busy: an operation
 * may never return.
 *
 * @param parent process id of the parent
 */
export function endWithParent(parent: number): void {
  new Worker(CODE, { eval: true, execArgv: [], stdin: false, workerData: parent }).unref()
}
