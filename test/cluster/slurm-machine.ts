import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { availableParallelism, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { runProcess, startProcess } from '../child-processes.js'

/** Slurm on this machine alone: its commands find it by `env`. */
export interface SlurmMachine {
  readonly env: Readonly<Record<string, string>>
  /** Ends its daemons and removes their files. */
  end(): Promise<void>
}

const isThere = (program: string) =>
  runProcess('sh', ['-c', `command -v ${program} || test -x /usr/sbin/${program}`]).then(
    ({ code }) => code === 0,
  )

/** Why Slurm cannot run on this machine; undefined where it can. */
export async function whyNoSlurm(): Promise<string | undefined> {
  const programs = ['munged', 'slurmctld', 'slurmd', 'sbatch']
  const there = await Promise.all(programs.map(isThere))
  const missing = programs.filter((_, i) => !there[i])
  if (missing.length > 0)
    return `${missing.join(', ')} not installed (Debian: munge slurmctld slurmd slurm-client)`
  return process.getuid?.() === 0 ? undefined : 'its daemons run as root here'
}

/**
 * Starts munge, the controller and the daemon of one node, on free ports of the loopback address and without cgroups, and waits
 * until the node takes jobs.
 *
 * @throws Error with what the daemons wrote when one of them ends
 */
export async function startSlurm(): Promise<SlurmMachine> {
  const root = await mkdtemp(join(tmpdir(), 'slurm-'))
  // Others than root must reach the socket.
  await chmod(root, 0o755)
  for (const folder of ['munge', 'state', 'spool']) await mkdir(join(root, folder), { mode: 0o755 })
  const key = join(root, 'munge', 'key')
  await writeFile(key, randomBytes(1024), { mode: 0o600 })
  const [controllerPort, nodePort] = [await freePort(), await freePort()]
  const config = join(root, 'slurm.conf')
  await writeFile(config, slurmConfig(root, controllerPort, nodePort))
  const env = { SLURM_CONF: config, PATH: `${process.env.PATH}:/usr/sbin` }
  const munge = (name: string) => join(root, 'munge', name)
  const daemons = [
    startProcess(
      'munged',
      [
        ...['--foreground', '--force', '--key-file', key, '--socket', munge('socket')],
        ...['--pid-file', munge('pid'), '--log-file', munge('log'), '--seed-file', munge('seed')],
      ],
      { env },
    ),
    startProcess('slurmctld', ['-D', '-c'], { env }),
    startProcess('slurmd', ['-D', '-c', '-N', 'localhost'], { env }),
  ]
  const end = async () => {
    for (const { child } of daemons) child.kill('SIGKILL')
    await Promise.allSettled(daemons.map(({ finished }) => finished))
    await rm(root, { recursive: true, force: true })
  }
  let ended: string | undefined
  for (const { child, finished } of daemons) {
    void finished.then(({ code, err }) => {
      ended ??= `${child.spawnfile} ended with ${code}: ${err.trim()}`
    })
  }
  while (!(await runProcess('sinfo', ['--noheader', '--format', '%T'], { env })).out.includes('idle')) {
    if (ended !== undefined) {
      await end()
      throw new Error(ended)
    }
    await pause(200)
  }
  return { env, end }
}

function slurmConfig(root: string, controllerPort: number, nodePort: number): string {
  return `ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${root}/munge/socket
SlurmctldPort=${controllerPort}
SlurmdPort=${nodePort}
StateSaveLocation=${root}/state
SlurmdSpoolDir=${root}/spool
SlurmctldPidFile=${root}/slurmctld.pid
SlurmdPidFile=${root}/slurmd.pid
SlurmctldLogFile=${root}/slurmctld.log
SlurmdLogFile=${root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1
NodeName=localhost NodeAddr=127.0.0.1 CPUs=${availableParallelism()} RealMemory=${Math.floor(totalmem() / 2 ** 21)} State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
`
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
