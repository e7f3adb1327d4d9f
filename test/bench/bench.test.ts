import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import type { BenchResult } from '../../bench/bench-result.js'
import { startTypeScript } from '../child-processes.js'

const program = fileURLToPath(new URL('../../bench/main.ts', import.meta.url))
const results = fileURLToPath(new URL('../../bench/RESULTS.md', import.meta.url))
const run = (...args: string[]) => startTypeScript([program, ...args]).finished

it('measures the layer on wasm, in a process of its own', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const json = join(folder, 'result.json')
  const before = await readFile(results, 'utf8').catch(() => 'none')
  const { out, err } = await run('--quick', '--only', 'a', '--backend', 'wasm', '--json', json)
  expect(out).toContain('- command: `npm run bench -- --only a --backend wasm --quick --json FILE`')
  expect(out).toContain('## (a) PatchMoE, 16x16x16 in 4x4 patches, batch 2')
  expect(out).not.toContain('## Not measured')
  expect(err).toContain('(a), round 1 of 1: layer 4x4x16 in 1x1 patches, batch 2')
  const { reports } = JSON.parse(await readFile(json, 'utf8')) as BenchResult
  expect(Object.values(reports).map(([report]) => report?.software)).toEqual([
    'tfjs 4.22.0, backend wasm',
    'tfjs 4.22.0, backend wasm',
  ])
  expect(await readFile(results, 'utf8').catch(() => 'none')).toBe(before)
})

it('ends with exit code 2 for a call that cannot work', async () => {
  const { code, err } = await run('--only', 'z')
  expect(code).toBe(2)
  expect(err).toContain('got "z"')
})

it('ends with exit code 1 where nothing can be measured, naming the reason', async () => {
  const { code, err } = await run('--peers', '/nowhere')
  expect(code).toBe(1)
  expect(err).toContain('bench: peerPython: --peers must be a folder made by bench/peers/setup.sh')
})
