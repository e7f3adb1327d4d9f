import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callPmoe, jsonLines } from '../run-pmoe.js'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cluster-set-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const settings = [
  ...['--dataset', 'digits-patches', '--model', 'two-layer', '--samples', '40', '--test-samples', '8'],
  ...['--epochs', '2', '--backend', 'wasm'],
]
const losses = async (directory: string) =>
  JSON.parse(await readFile(join(directory, 'summary.json'), 'utf8')).runs.map(
    ({ name, testLoss }: { name: string; testLoss: number }) => [name, testLoss],
  )

test('tasks train the runs of a set to what one process makes of them, and take over what a killed one left', async () => {
  const out = join(root, 'seeds')
  const set = ['train', ...settings, '--seeds', '3', '--out', out]
  const dry = await callPmoe([...set, '--cluster', 'slurm', '--cluster-tasks', '2', '--cluster-dry-run'])
  expect([dry.code, dry.err]).toEqual([0, ''])
  const path = join(out, 'cluster', 'slurm-job.sh')
  expect(dry.out).toContain(`Slurm: 2 tasks share 3 runs; the job is ${path}\n`)
  expect(await readFile(path, 'utf8')).toContain(
    ` train ${settings.join(' ')} --seeds 3 --out ${out} --share "$SLURM_ARRAY_TASK_ID/2"\n`,
  )
  // Another machine trains seed-1; a killed one of it had begun seed-2.
  const claim = (name: string, pid: number) => join(out, `.${name}.pmoe-lock.00000000.${pid}.a.0.own`)
  for (const [name, pid] of [
    ['seed-1', 11],
    ['seed-2', 12],
  ] as const) {
    await writeFile(claim(name, pid), JSON.stringify({ host: 'node3', where: 'train' }))
  }
  const long = new Date(Date.now() - 130_000)
  await utimes(claim('seed-2', 12), long, long)
  const living = setInterval(() => void utimes(claim('seed-1', 11), new Date(), new Date()), 100)
  const first = await callPmoe([...set, '--share', '1/2']).finally(() => clearInterval(living))
  expect([first.code, first.err]).toEqual([0, ''])
  expect(first.out).toContain('seed-2 is taken over from process 12 on node3 (train), which has ended\n')
  expect(first.out).toMatch(/seed-1 is left to others: train: .* got process 11 on node3 \(train\): wait/)
  expect(first.out).toContain('2 of 3 runs have ended.')
  expect(await readdir(out)).not.toContain('summary.json')
  await rm(claim('seed-1', 11))
  const second = await callPmoe([...set, '--share', '0/2', '--json'])
  expect([second.code, jsonLines(second.out).at(-1)]).toEqual([
    0,
    expect.objectContaining({ type: 'summary' }),
  ])
  const alone = join(root, 'alone')
  await callPmoe(['train', ...settings, '--seeds', '3', '--out', alone])
  expect(await losses(out)).toEqual(await losses(alone))
  const changed = await callPmoe(['train', '--seeds', '4', '--out', out, '--share', '0/2'])
  expect([changed.code, changed.err]).toEqual([2, expect.stringContaining('seeds is 3, asked for 4')])
})

test('the first task of a set begins it where nobody has', async () => {
  const out = join(root, 'folds')
  const { code, out: text } = await callPmoe([
    'train',
    ...settings,
    '--folds',
    '2',
    '--out',
    out,
    '--share',
    '1/2',
  ])
  expect(code).toBe(0)
  expect(text).toMatch(/^mean /m)
  expect(JSON.parse(await readFile(join(out, 'runs.json'), 'utf8'))).toMatchObject({
    kind: 'folds',
    count: 2,
  })
})

test.each([
  [[], 'train: --cluster must come with --seeds or --folds, got neither'],
  [['--seeds', '2', '--share', '0/2'], 'train: --cluster and --share must not be given together'],
  [['--folds', '30'], 'must have at least as many images as folds, 30, got'],
  [['--seeds', '2', '--force'], 'train: --force must be left out with --seeds, got both'],
])('a job of %j is refused before anything is written', async (words, message) => {
  const out = join(root, 'refused')
  const { code, err } = await callPmoe(['train', ...settings, ...words, '--out', out, '--cluster', 'slurm'])
  expect([code, err]).toEqual([2, expect.stringContaining(message)])
  expect(await readdir(root)).not.toContain('refused')
})

test.each([
  [['--share', '0/2'], 'train: --share must come with --out, the folder of the set'],
  [
    ['--share', '0/2', '--out', 'nowhere'],
    'train: --share must come with --seeds or --folds, got neither and no set in nowhere',
  ],
])('a task of %j is refused', async (words, message) => {
  const { code, err } = await callPmoe(['train', ...settings, ...words])
  expect([code, err]).toEqual([2, expect.stringContaining(message)])
})
