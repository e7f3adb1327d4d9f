import { shellCommand } from '../shell-command.js'
import { commentText, type GridJob, type Scheduler, taskEnvironment } from './scheduler.js'

/** Seconds before the time limit at which a task is told to store its state. */
const warningSeconds = 60

/** Slurm: a job array. A task that is preempted is queued again, and goes on where it was. */
export const slurm: Scheduler = {
  title: 'Slurm',
  file: 'slurm-job.sh',
  options: [
    { name: 'partition', value: 'name', help: 'the partition' },
    { name: 'account', value: 'name', help: 'the account that pays' },
  ],
  seesFiles: true,
  describe(job) {
    const { command, tasks, workingDirectory, folder } = job
    if (folder.includes('\\')) {
      // It would keep the numbers of tasks out of the names of logs.
      throw new RangeError(`slurm: the folder of the job must hold no backslash, got ${folder}`)
    }
    const variables = Object.entries(taskEnvironment(job)).map(([name, value]) => `export ${name}=${value}`)
    const share = `--share "$SLURM_ARRAY_TASK_ID/${tasks}"`
    return [
      '#!/bin/bash',
      ...directives(job).map(
        ([name, value]) => `#SBATCH --${name}${value === '' ? '' : `=${quoted(value)}`}`,
      ),
      `# ${commentText(job.name)}: tasks share the runs, whatever their number (--array and --share must agree).`,
      `cd -- ${shellCommand([workingDirectory])} || exit`,
      ...variables,
      '# In the place of this shell, so that the task itself is told to stop.',
      `exec ${shellCommand(command)} ${share}`,
      '',
    ].join('\n')
  },
  submit: path => ['sbatch', '--parsable', path],
}

function directives({ name, tasks, folder, resources, options }: GridJob): [name: string, value: string][] {
  const { cpus, memory, gpus, seconds } = resources
  const { partition, account } = options
  return [
    ['job-name', name],
    ['array', `0-${tasks - 1}`],
    ['output', `${folder.replaceAll('%', '%%')}/slurm-%A_%a.log`],
    ['open-mode', 'append'],
    ['requeue', ''],
    ['signal', `B:TERM@${warningSeconds}`],
    ['ntasks', '1'],
    ['cpus-per-task', String(cpus)],
    ...(memory === undefined ? [] : [['mem', `${memory}M`] as [string, string]]),
    ...(gpus === undefined ? [] : [['gres', `gpu:${gpus}`] as [string, string]]),
    ...(seconds === undefined ? [] : [['time', timeText(seconds)] as [string, string]]),
    ...(partition === undefined ? [] : [['partition', partition] as [string, string]]),
    ...(account === undefined ? [] : [['account', account] as [string, string]]),
  ]
}

/** A value as `sbatch` reads it from a script: it knows quotes and backslashes, and no variables. */
function quoted(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`
}

/** Days, hours, minutes and seconds: `1-06:00:00`. */
function timeText(seconds: number): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const [days, rest] = [Math.floor(seconds / 86_400), seconds % 86_400]
  const [hours, minutes] = [Math.floor(rest / 3600), Math.floor((rest % 3600) / 60)]
  return `${days}-${two(hours)}:${two(minutes)}:${two(rest % 60)}`
}
