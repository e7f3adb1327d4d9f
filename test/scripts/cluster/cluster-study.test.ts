import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Job } from 'kubernetes-models/batch/v1'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { podWords } from '../../cluster/schedulers/pod-words.js'
import { callPmoe, jsonLines, runPmoe } from '../run-pmoe.js'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cluster-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true, force: true })
})

// Routers alone are trained: a cell takes a second.
const quick = ['fig8', '--scale', 'small', '--seeds', '1', '--backend', 'wasm'] as const

/** A command on the PATH, which stands for that of a cluster. */
async function command(name: string, script: string): Promise<void> {
  const folder = join(root, 'commands')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`)
  await chmod(join(folder, name), 0o755)
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env.PATH}`)
}

describe('pmoe study --cluster', () => {
  test('begins the study, writes the job, and overwrites none that was changed', async () => {
    const out = join(root, 'a "study" of $me')
    const words = ['study', ...quick, '--out', out, '--cluster', 'slurm', '--cluster-dry-run'] as const
    const { code, out: text, err } = await callPmoe(words)
    expect([code, err]).toEqual([0, ''])
    const path = join(out, 'cluster', 'slurm-job.sh')
    expect(text).toBe(
      `Slurm: 3 tasks share 3 runs; the job is ${path}\nSubmit it with: sbatch --parsable '${path}'\n`,
    )
    const script = await readFile(path, 'utf8')
    expect(script).toContain('#SBATCH --array=0-2\n')
    expect(script).toContain(
      ` study run fig8 --scale small --seeds 1 --backend wasm --out '${out}' --share "$SLURM_ARRAY_TASK_ID/3"\n`,
    )
    expect((await readdir(out)).sort()).toEqual(['cluster', 'study.json'])
    await callPmoe(words)
    expect(await readdir(join(out, 'cluster'))).toEqual(['slurm-job.sh'])
    await callPmoe([...words, '--cluster-cpus', '2', '--cluster-memory', '1.5G', '--cluster-time', '90m'])
    const second = await readFile(join(out, 'cluster', 'slurm-job-2.sh'), 'utf8')
    expect(second).toContain('--cpus-per-task=2\n#SBATCH --mem=1536M\n#SBATCH --time=0-01:30:00\n')
    expect(await readFile(path, 'utf8')).toBe(script)
  })

  test('submits the job, and says how it can be submitted where that fails', async () => {
    const out = join(root, 'study')
    const words = [
      'study',
      ...quick,
      '--out',
      out,
      '--cluster',
      'slurm',
      '--cluster-tasks',
      '2',
      '--json',
    ] as const
    const path = join(out, 'cluster', 'slurm-job.sh')
    await command('sbatch', `test "$1" = --parsable && test "$2" = '${path}' && test $# = 2`)
    const submitted = await callPmoe(words)
    expect([submitted.code, jsonLines(submitted.out)]).toEqual([
      0,
      [
        {
          type: 'cluster',
          file: path,
          folder: join(out, 'cluster'),
          results: out,
          tasks: 2,
          submit: ['sbatch', '--parsable', path],
          submitted: true,
        },
      ],
    ])
    await command('sbatch', 'exit 3')
    const refused = await callPmoe(words)
    const advice = `(the job is written; submit it where that works: sbatch --parsable ${path})`
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringContaining(`pmoe: study: sbatch must succeed, got its end with 3 ${advice}`),
    ])
    vi.stubEnv('PATH', join(root, 'nowhere'))
    const missing = await callPmoe(words)
    expect([missing.code, missing.err]).toEqual([
      1,
      expect.stringContaining(`pmoe: study: sbatch must be a command of this machine, got none ${advice}`),
    ])
  })

  test('writes a Kubernetes job whose pods, run here, do the study and its report', async () => {
    const jobs = join(root, 'jobs')
    const out = join(root, 'results', "it's fig8")
    const { code, err } = await callPmoe([
      ...['study', ...quick, '--out', out, '--cluster', 'kubernetes', '--cluster-dry-run'],
      ...['--cluster-image', 'pmoe:1', '--cluster-volume', `results:${join(root, 'results')}`],
      ...['--cluster-folder', jobs, '--cluster-tasks', '2'],
    ])
    expect([code, err]).toEqual([0, ''])
    // Nothing is written where pods alone see it.
    expect(await readdir(root)).toEqual(['jobs'])
    const job = parse(await readFile(join(jobs, 'kubernetes-job.yaml'), 'utf8'))
    new Job(job).validate()
    const [program, ...words] = podWords(job, { JOB_COMPLETION_INDEX: '1' })
    expect(program).toBe('pmoe')
    const pod = await runPmoe(words)
    expect([pod.code, pod.err]).toEqual([0, ''])
    expect(pod.out).toContain('task 1 of 2, 0 of 3 cells done')
    expect(pod.out).toContain(`All 3 cells are done; the report is in ${out}`)
    expect(await readdir(out)).toEqual(expect.arrayContaining(['report.html', 'results.json']))
    // A pod that is started again has nothing to do.
    const again = await callPmoe(words)
    expect([again.code, again.out]).toEqual([0, expect.stringContaining('task 1 of 2, 3 of 3 cells done')])
  })

  test('runs cells again that have failed, where the folder is here', async () => {
    const out = join(root, 'study')
    const words = ['study', ...quick, '--out', out, '--cluster', 'slurm', '--cluster-dry-run'] as const
    await callPmoe(words)
    const cell = join(out, 'cells', '00001')
    await mkdir(cell, { recursive: true })
    const failed = {
      status: 'failed',
      cell: { index: 1, seed: 1, variant: 'separate pMoE', samples: 300 },
      reason: 'error',
      message: 'disk full',
      took: 1,
      ended: '',
    }
    await writeFile(join(cell, 'result.json'), JSON.stringify(failed))
    await callPmoe(words)
    expect(await readdir(cell)).toEqual(['result.json'])
    await callPmoe([...words, '--retry-failed'])
    expect(await readdir(cell)).toEqual([])
  })

  test.each([
    [['--cluster-cpus', '2'], 'study: --cluster-cpus must come with --cluster, got no --cluster'],
    [['--cluster-dry-run'], 'study: --cluster-dry-run must come with --cluster, got no --cluster'],
    [['--cluster', 'pbs'], "argument 'pbs' is invalid. Allowed choices are slurm, kubernetes, ray."],
    [
      ['--cluster', 'slurm', '--cluster-image', 'a'],
      'study: --cluster-image must be left out for Slurm, got a',
    ],
    [
      ['--cluster', 'ray', '--cluster-partition', 'a'],
      'study: --cluster-partition must be left out for Ray, got a',
    ],
    [
      ['--cluster', 'slurm', '--cluster-tasks', '1001'],
      'study: --cluster-tasks must be in [1, 1000], got 1001',
    ],
    [['--cluster', 'slurm', '--cluster-tasks', '0'], "'--cluster-tasks <count>' argument '0' is invalid"],
    [['--cluster', 'slurm', '--cluster-memory', '8'], 'It must be a size above 0 in M or G: 8G, or 512M.'],
    [['--cluster', 'slurm', '--cluster-memory', '0G'], 'It must be a size above 0 in M or G: 8G, or 512M.'],
    [
      ['--cluster', 'slurm', '--cluster-time', '90'],
      'It must be a time above 0: 90m, 4h, 2d, 04:00:00, or 1-12:00:00.',
    ],
    [['--cluster', 'slurm', '--cluster-time', '0-00:00:00'], 'It must be a time above 0'],
    [['--cluster', 'slurm', '--cluster-time', '04:60:00'], 'It must be a time above 0'],
    [
      ['--cluster', 'kubernetes'],
      'study: --cluster-image <image> must be given for Kubernetes, got none (the image of the pods, which has pmoe)',
    ],
    [
      ['--cluster', 'kubernetes', '--cluster-image', 'a', '--cluster-volume', 'r:/other'],
      'kubernetes: the results must lie in a volume, below /other, got ',
    ],
    [
      ['--cluster', 'kubernetes', '--cluster-image', 'a', '--cluster-volume', 'r:/tmp', '--force'],
      'study: --force must be left out for Kubernetes, whose folders are not on this machine, got --force',
    ],
    [['--cluster', 'slurm', '--cluster-folder', 'a\nb'], 'study: folders of a job must be of one line, got '],
    [
      ['--cluster', 'slurm', '--cluster-folder', 'a\\b'],
      'slurm: the folder of the job must hold no backslash, got ',
    ],
  ])('refuses %j', async (words, message) => {
    const { code, err } = await callPmoe(['study', ...quick, '--out', join(root, 'study'), ...words])
    expect([code, err]).toEqual([2, expect.stringContaining(message)])
    expect(await readdir(root)).toEqual([])
  })

  test.each([
    [[], 'study: run must have either --cell or --share, got neither'],
    [['--cell', '1', '--share', '0/2'], 'study: run must have either --cell or --share, got both'],
    [['--cell', '1', '--jobs', '2'], 'study: --jobs must come with --share, got 2 with --cell'],
    [['--share', '2/2'], 'It must be the number of a task, from 0, and how many there are: 0/16, to 15/16.'],
    [['--share', '1'], 'It must be the number of a task, from 0, and how many there are: 0/16, to 15/16.'],
  ])('run refuses %j', async (words, message) => {
    const { code, err } = await callPmoe(['study', 'run', ...quick, '--out', join(root, 'study'), ...words])
    expect([code, err]).toEqual([2, expect.stringContaining(message)])
    expect(await readdir(root)).toEqual([])
  })
})
