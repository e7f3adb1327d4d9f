import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

const newFolder = () => mkdtemp(join(tmpdir(), 'study-'))
// Routers alone are trained: a cell takes a second.
const quick = ['fig8', '--scale', 'small', '--seeds', '1', '--backend', 'wasm'] as const

describe('pmoe study', () => {
  test('runs, reports, goes on, and refuses other settings', async () => {
    const out = join(await newFolder(), 'fig8')
    const first = await runPmoe(['study', ...quick, '--jobs', '2', '--out', out])
    expect(first.err).toBe('')
    expect(first.code).toBe(0)
    expect(first.out).toContain('3 of 3 runs to do, 2 at a time; backend wasm')
    expect(first.out).toContain('A stand-in for MNIST')
    expect(first.out).toMatch(
      /fig8 {2}3 done, 0 failed, 0 left {2}cell \d \(separate pMoE, \d+ images, seed 1\)/,
    )
    expect(first.out).toContain('The claim: After 300 training images')

    const results = JSON.parse(await readFile(join(out, 'results.json'), 'utf8'))
    expect(results).toMatchObject({
      isStandIn: true,
      command: 'pmoe study fig8 --scale small --seeds 1 --backend wasm',
      summary: { done: 3, failed: 0 },
    })
    expect(results.cells).toHaveLength(3)
    const page = await readFile(join(out, 'report.html'), 'utf8')
    expect(page).toContain('<h2>Where the experts looked: separate pMoE, 600 images, seed 1</h2>')
    expect(page).toContain('pmoe study fig8 --scale small --seeds 1 --backend wasm')
    expect((await readFile(join(out, 'figure.png'))).subarray(1, 4).toString()).toBe('PNG')

    const again = await callPmoe(['study', 'fig8', '--out', out])
    expect(again.out).toContain('0 of 3 runs to do')
    const changed = await callPmoe(['study', 'fig8', '--out', out, '--shared-subset', '--scale', 'full'])
    expect(changed.code).toBe(2)
    expect(changed.err).toContain(`pmoe: study: --out must keep the settings of ${out}, got changed ones: `)
    expect(changed.err).toContain('sharedSubset is false, asked for true')

    const status = await callPmoe(['study', 'status', out, '--json'])
    expect(jsonLines(status.out)).toMatchObject([
      { experiment: 'fig8', cells: 3, done: 3, left: 0, failed: [] },
    ])
    const folder = join(out, '..', 'results')
    await callPmoe(['study', 'report', out, '--results', folder])
    expect(await readFile(join(folder, 'table.md'), 'utf8')).toContain('| setting | top 1 | top 2 |')
  })

  test('Ctrl-C leaves a folder that can be gone on with', async () => {
    const out = join(await newFolder(), 'fig8')
    const words = ['study', 'fig8', '--scale', 'small', '--seeds', '4', '--jobs', '1', '--backend', 'wasm']
    const stopped = await runPmoe([...words, '--out', out], { interruptAt: '1 done' })
    expect(stopped.code).toBe(130)
    expect(stopped.out).toMatch(/Stopped with \d of 12 runs; the same command goes on from there/)
    const status = await callPmoe(['study', 'status', out])
    const [, done = ''] = /fig8, small scale: (\d+) of 12 cells done, 0 failed/.exec(status.out) ?? []
    expect(Number(done)).toBeGreaterThan(0)
    expect(status.out).toContain('of computing left, one cell at a time')
    const cell = await callPmoe(['study', 'run', 'fig8', '--cell', '11', '--out', out])
    expect(cell.code).toBe(0)
    expect(cell.out).toContain('cell 11 (separate pMoE, 600 images, seed 4): test')
    const twice = await callPmoe(['study', 'run', 'fig8', '--cell', '11', '--out', out])
    expect(twice.out).toBe('Cell 11 has its result already\n')
  })

  test('plans without running', async () => {
    const { out } = await callPmoe(['study', 'plan', 'fig5', '--scale', 'small', '--seeds', '1'])
    const lines = out.trimEnd().split('\n')
    expect(lines[0]).toBe('cell  seed  images  l        variant')
    expect(lines[2]).toBe('0        1     300  2  separate pMoE')
    expect(lines.at(-1)).toBe('fig5: 6 cells, 0 to 5')
    const json = await callPmoe(['study', 'plan', 'table1', '--scale', 'small', '--json'])
    expect(jsonLines(json.out)[0]).toEqual({
      index: 0,
      seed: 1,
      variant: 'pMoE',
      cost: { letter: 'l', value: 8 },
    })
  })

  test.each([
    [['nope'], 'study: name must be one of fig4, fig5,'],
    [['fig10'], 'study: fig10 must have its data, got none. Fetch CelebA'],
    [['fig4', '--seeds', '0'], "option '--seeds <count>' argument '0' is invalid"],
    [['fig4', '--data', '/nowhere'], 'study: --data must name a folder, got /nowhere, which is not there'],
    [['fig4', '--data', '/', '--stand-in', '/'], 'study: --data and --stand-in must not be given together'],
    [['table1', '--data', '/'], 'study: --data and --stand-in must be left out for table1'],
    [
      ['table1', '--network', '/'],
      'study: --network must be left out for table1: it takes no pretrained network',
    ],
    [
      ['transfer', '--network', '/nowhere'],
      'study: --network must be the folder of a tfjs network, got /nowhere',
    ],
    [['run', 'fig4', '--scale', 'small', '--cell', '27'], 'study: --cell must be in [0, 26], got 27'],
  ])('refuses %j', async (words, message) => {
    const out = join(await newFolder(), 'study')
    const { code, err } = await callPmoe(['study', ...words, '--backend', 'wasm', '--out', out])
    expect(err).toContain(message)
    expect(code).toBe(2)
  })

  test('says what is wrong with a folder', async () => {
    const folder = await newFolder()
    await writeFile(join(folder, 'notes.txt'), '')
    const started = await callPmoe(['study', ...quick, '--out', folder])
    expect(started.err).toBe(
      `pmoe: study: --out must be new, empty or a study, got ${folder} with notes.txt\n`,
    )
    expect(started.code).toBe(1)
    const status = await callPmoe(['study', 'status', folder])
    expect(status.err).toContain(`${folder}: must be the folder of a study, got none`)
  })

  test('counts images before it runs anything', async () => {
    const { code, err } = await callPmoe([
      ...['study', 'fig12', '--scale', 'small', '--stand-in', 'samples/drawn-faces-celeba'],
      ...['--backend', 'wasm', '--out', join(await newFolder(), 'study')],
    ])
    expect(code).toBe(2)
    expect(err).toContain('pmoe: study: fig12 must have images enough: celeba-multiclass: cell "')
    expect(err).toContain('npm run drawn-faces -- --out faces')
  })
})
