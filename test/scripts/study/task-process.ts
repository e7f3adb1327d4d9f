import { openStudy } from '../../../scripts/study/study-folder.js'
import { runStudyTask } from '../../../scripts/study/study-task.js'

/** A task that works on a study: told its folder, its number and how many there are, it writes a line for each cell. */
const [directory = '', task, tasks] = process.argv.slice(2)
const write = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
const left = await runStudyTask(await openStudy(directory), {
  share: { task: Number(task), tasks: Number(tasks) },
  jobs: 1,
  cores: 1,
  signal: stop.signal,
  onResult: ({ cell, status }) => write({ cell: cell.index, status }),
  onTakenOver: (cell, from) => write({ taken: cell.index, from }),
})
write({ left: [...left.keys()].map(({ index }) => index) })
