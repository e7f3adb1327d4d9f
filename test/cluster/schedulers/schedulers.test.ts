import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Job } from 'kubernetes-models/batch/v1'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { GridJob } from '../../../src/cluster/schedulers/scheduler.js'
import { schedulers } from '../../../src/cluster/schedulers/schedulers.js'
import { runProcess } from '../../child-processes.js'
import { podWords } from './pod-words.js'

/** Words that shells, YAML, Python and Kubernetes could take for something else. */
const hostile = [
  '',
  'two words',
  "it's",
  'a "quoted" word',
  '$HOME',
  '$(id)',
  '$$(JOB_COMPLETION_INDEX)',
  '`id`',
  'back\\\\slash\\n',
  '#comment',
  '- item: {a: [b]}',
  'yes',
  '1_000',
  '012',
  '{task}',
  '%s %a',
  '~',
  '*',
  '--',
  'line\nbreak',
  'Zürich 🎲',
]

let root: string
let job: GridJob
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'schedulers-'))
  const workingDirectory = join(root, `it's "here" $HOME`)
  await mkdir(workingDirectory)
  // Writes its folder, its threads and its words, each ended by a zero byte.
  const program = join(root, 'show words')
  await writeFile(program, '#!/bin/sh\nprintf "%s\\0" "$PWD" "$TF_NUM_INTRAOP_THREADS" "$@"\n')
  await chmod(program, 0o755)
  job = {
    name: `pmoe study "it's" $HOME #1`,
    command: [program, ...hostile],
    tasks: 7,
    resources: { cpus: 3 },
    workingDirectory,
    folder: root,
    results: '/results/fig4',
    options: {},
  }
})
afterAll(() => rm(root, { recursive: true, force: true }))

const wordsOf = (out: string) => out.split('\0').slice(0, -1)
const kubernetesOptions = { image: 'registry/pmoe:1', volume: 'results:/results,images:/data/' }

describe('a Slurm script', () => {
  test('starts the task with the very words, its folder and its threads', async () => {
    const path = join(root, 'slurm-job.sh')
    await writeFile(path, schedulers.slurm.describe(job))
    const { code, out, err } = await runProcess('bash', [path], { env: { SLURM_ARRAY_TASK_ID: '5' } })
    expect([code, err]).toEqual([0, ''])
    expect(wordsOf(out)).toEqual([job.workingDirectory, '3', ...hostile, '--share', '5/7'])
    expect(schedulers.slurm.submit(path)).toEqual(['sbatch', '--parsable', path])
  })

  test('asks for what the task may use, and a patterned folder means itself', () => {
    const resources = { cpus: 4, memory: 1536, gpus: 2, seconds: 129_661 }
    const options = { partition: 'gpu', account: 'a b"c' }
    const text = schedulers.slurm.describe({ ...job, folder: '/x y/100%a', resources, options })
    expect(text.split('\n').filter(line => line.startsWith('#'))).toEqual([
      '#!/bin/bash',
      `#SBATCH --job-name="pmoe study \\"it's\\" $HOME #1"`,
      '#SBATCH --array=0-6',
      '#SBATCH --output="/x y/100%%a/slurm-%A_%a.log"',
      '#SBATCH --open-mode=append',
      '#SBATCH --requeue',
      '#SBATCH --signal=B:TERM@60',
      '#SBATCH --ntasks=1',
      '#SBATCH --cpus-per-task=4',
      '#SBATCH --mem=1536M',
      '#SBATCH --gres=gpu:2',
      '#SBATCH --time=1-12:01:01',
      '#SBATCH --partition=gpu',
      '#SBATCH --account="a b\\"c"',
      `# pmoe study "it's" $HOME #1: tasks share the runs, whatever their number (--array and --share must agree).`,
      '# In the place of this shell, so that the task itself is told to stop.',
    ])
  })

  test('cannot have a folder of logs with a backslash', () => {
    expect(() => schedulers.slurm.describe({ ...job, folder: '/a\\b' })).toThrow(
      'slurm: the folder of the job must hold no backslash, got /a\\b',
    )
  })
})

describe('a Kubernetes job', () => {
  const describeJob = (more: Partial<GridJob> = {}) =>
    parse(schedulers.kubernetes.describe({ ...job, options: kubernetesOptions, ...more }))

  test('is one by the API, whose pods see the volumes and are told their index', async () => {
    const resources = { cpus: 4, memory: 1536, gpus: 2, seconds: 600 }
    const options = { ...kubernetesOptions, namespace: 'team' }
    const manifest = describeJob({ resources, options })
    new Job(manifest).validate()
    expect(manifest.metadata).toMatchObject({ generateName: 'pmoe-study-it-s-home-1-', namespace: 'team' })
    expect(manifest.spec).toMatchObject({ completionMode: 'Indexed', completions: 7, parallelism: 7 })
    const pod = manifest.spec.template.spec
    expect(pod).toMatchObject({ restartPolicy: 'Never', activeDeadlineSeconds: 600 })
    expect(pod.volumes).toEqual([
      { name: 'volume-0', persistentVolumeClaim: { claimName: 'results' } },
      { name: 'volume-1', persistentVolumeClaim: { claimName: 'images' } },
    ])
    expect(pod.containers).toMatchObject([
      {
        image: 'registry/pmoe:1',
        env: [{ name: 'TF_NUM_INTRAOP_THREADS', value: '4' }],
        resources: {
          requests: { cpu: '4', memory: '1536Mi' },
          limits: { memory: '1536Mi', 'nvidia.com/gpu': '2' },
        },
        volumeMounts: [
          { name: 'volume-0', mountPath: '/results' },
          { name: 'volume-1', mountPath: '/data/' },
        ],
      },
    ])
  })

  test('has the same words in YAML 1.1, which Kubernetes reads', () => {
    const text = schedulers.kubernetes.describe({ ...job, options: kubernetesOptions })
    expect(parse(text, { version: '1.1' })).toEqual(parse(text))
  })

  test('starts the task with the very words', async () => {
    const [program = '', ...words] = podWords(describeJob(), { JOB_COMPLETION_INDEX: '5' })
    const { out } = await runProcess(program, words)
    expect(wordsOf(out).slice(2)).toEqual([...hostile, '--share', '5/7'])
  })

  test.each([
    ['pmoe study ----', 'pmoe-study-'],
    ['ÄÖ', 'pmoe-'],
    ['x'.repeat(90), `${'x'.repeat(50)}-`],
  ])('named %j has a name that Kubernetes takes', (name, expected) => {
    const manifest = describeJob({ name })
    new Job(manifest).validate()
    expect(manifest.metadata.generateName).toBe(expected)
  })

  test.each([
    [
      { volume: 'results' },
      'kubernetes: volume must be a claim and an absolute path, results:/results, got "results"',
    ],
    [
      { volume: 'a:/b,' },
      'kubernetes: volume must be a claim and an absolute path, results:/results, got ""',
    ],
    [{ volume: 'Big:/b' }, 'got "Big:/b"'],
    [
      { volume: 'a:/results/fig,b:/b' },
      'kubernetes: the results must lie in a volume, below /results/fig or /b, got /results/fig4',
    ],
  ])('with %j is refused', (changed, message) => {
    expect(() => describeJob({ options: { ...kubernetesOptions, ...changed } })).toThrow(message)
  })

  test('whose results have no absolute path is refused', () => {
    expect(() => describeJob({ results: 'results/fig4' })).toThrow(
      'below /results or /data/, got results/fig4',
    )
  })
})

describe('a Ray program', () => {
  // What the program uses of Ray, in this process and one task after the other.
  const module = `
options = []
class Task:
    def __init__(self, run): self.run = run
    def remote(self, *values): return self.run(*values)
def remote(**given):
    options.append(given)
    return Task
def init(): print(sorted(options[0].items()), end="\\0", flush=True)
def get(values): return values
`
  const run = async (more: Partial<GridJob>) => {
    const folder = await mkdtemp(join(root, 'ray-'))
    await mkdir(join(folder, 'modules'))
    await writeFile(join(folder, 'modules', 'ray.py'), module)
    const path = join(folder, schedulers.ray.file)
    await writeFile(path, schedulers.ray.describe({ ...job, ...more }))
    const [program = '', ...words] = schedulers.ray.submit(path)
    return runProcess(program, words, { env: { PYTHONPATH: join(folder, 'modules') } })
  }

  test('starts each task with the very words, its folder and its threads', async () => {
    const { code, out, err } = await run({ tasks: 2, resources: { cpus: 3, gpus: 1, memory: 10 } })
    expect([code, err]).toEqual([0, ''])
    const task = (index: number) => [job.workingDirectory, '3', ...hostile, '--share', `${index}/2`]
    expect(wordsOf(out)).toEqual([
      "[('max_retries', 3), ('memory', 10485760), ('num_cpus', 3), ('num_gpus', 1)]",
      ...task(0),
      ...task(1),
    ])
  })

  test('tells which tasks failed, and ends a task at its limit', async () => {
    const failed = await run({ tasks: 1, command: ['sh', '-c', 'exit 5'] })
    expect([failed.code, failed.out]).toEqual([1, expect.stringContaining('task 0 ended with exit code 5\n')])
    const late = await run({
      tasks: 1,
      command: ['sh', '-c', 'exec sleep 600'],
      resources: { cpus: 1, seconds: 1 },
    })
    expect([late.code, late.out]).toEqual([1, expect.stringContaining('task 0 ended with exit code -15\n')])
  })
})
