import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { runProcess } from '../child-processes.js'
import { callPmoe, jsonLines } from '../scripts/run-pmoe.js'
import { type SlurmMachine, startSlurm, whyNoSlurm } from './slurm-machine.js'

const why = await whyNoSlurm()
if (why !== undefined) console.log(`Slurm: ${why}; the array of a study is not run on it.`)

describe.skipIf(why !== undefined)('a study on Slurm', () => {
  let root: string
  let slurm: SlurmMachine | undefined
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'slurm-study-'))
    slurm = await startSlurm()
    for (const [name, value] of Object.entries(slurm.env)) vi.stubEnv(name, value)
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await slurm?.end()
    await rm(root, { recursive: true, force: true })
  })

  test('is done by the tasks of an array, whatever its folder is called, and reported by the last', async () => {
    const out = join(root, `a "study" of it's $HOME, 100%a`)
    const { code, out: text } = await callPmoe([
      ...['study', 'fig8', '--scale', 'small', '--seeds', '1', '--backend', 'wasm', '--out', out],
      ...[
        '--cluster',
        'slurm',
        '--cluster-tasks',
        '2',
        '--cluster-memory',
        '512M',
        '--cluster-time',
        '30m',
        '--json',
      ],
    ])
    expect([code, jsonLines(text)]).toEqual([0, [expect.objectContaining({ tasks: 2, submitted: true })]])
    const states = async () =>
      (await runProcess('scontrol', ['show', 'job', '--oneliner'])).out
        .split('\n')
        .flatMap(line => /JobState=(\w+)/.exec(line)?.[1] ?? [])
    while ((await states()).some(state => !['COMPLETED', 'FAILED', 'NODE_FAIL'].includes(state)))
      await pause(200)
    const logs = await Promise.all(
      (await readdir(join(out, 'cluster')))
        .filter(name => /^slurm-\d+_[01]\.log$/.test(name))
        .map(name => readFile(join(out, 'cluster', name), 'utf8')),
    )
    expect([await states(), logs.length]).toEqual([['COMPLETED', 'COMPLETED'], 2])
    const ran = logs.flatMap(log => [...log.matchAll(/cell (\d) \(separate pMoE/g)].map(([, cell]) => cell))
    expect(ran.sort()).toEqual(['0', '1', '2'])
    expect(logs.some(log => log.includes(`All 3 cells are done; the report is in ${out}`))).toBe(true)
    const results = JSON.parse(await readFile(join(out, 'results.json'), 'utf8'))
    expect(results.summary).toMatchObject({ done: 3, failed: 0 })
  })
})
