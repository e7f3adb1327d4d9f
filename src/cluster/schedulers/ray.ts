import { commentText, type Scheduler, taskEnvironment } from './scheduler.js'

/** How often a task is tried again whose machine is lost. */
const retries = 3
/** Seconds that a task which is ended has to store its state. */
const graceSeconds = 60

/** Ray: a program in Python, each of whose tasks runs one command, on a cluster or on this machine. */
export const ray: Scheduler = {
  title: 'Ray',
  file: 'ray-job.py',
  options: [],
  seesFiles: true,
  describe(job) {
    const { command, tasks, workingDirectory, resources } = job
    const { cpus, gpus = 0, memory, seconds } = resources
    return `# ${commentText(job.name)}: tasks share the runs, whatever their number.
# It joins the cluster of RAY_ADDRESS, or the one of this machine, or begins one on this machine.
import os
import subprocess
import sys

import ray

COMMAND = ${literal(command)}
TASKS = ${tasks}
FOLDER = ${literal(workingDirectory)}
ENVIRONMENT = ${literal(taskEnvironment(job))}
SECONDS = ${seconds ?? 'None'}


@ray.remote(num_cpus=${cpus}, num_gpus=${gpus}${memory === undefined ? '' : `, memory=${memory * 2 ** 20}`}, max_retries=${retries})
def run(task):
    """Runs one task and returns its exit code."""
    process = subprocess.Popen(
        [*COMMAND, "--share", f"{task}/{TASKS}"],
        cwd=FOLDER,
        env={**os.environ, **ENVIRONMENT},
    )
    try:
        return process.wait(timeout=SECONDS)
    except BaseException as error:
        process.terminate()
        try:
            process.wait(timeout=${graceSeconds})
        except subprocess.TimeoutExpired:
            process.kill()
        if isinstance(error, subprocess.TimeoutExpired):
            return process.wait()
        raise


ray.init()
codes = ray.get([run.remote(task) for task in range(TASKS)])
for task, code in enumerate(codes):
    if code != 0:
        print(f"task {task} ended with exit code {code}")
sys.exit(1 if any(codes) else 0)
`
  },
  submit: path => ['python3', path],
}

/** Texts, lists and objects of JSON mean the same in Python. */
function literal(value: unknown): string {
  return JSON.stringify(value)
}
