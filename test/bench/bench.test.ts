import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import type { BenchResult } from '../../bench/bench-result.js'

const program = fileURLToPath(new URL('../../bench/main.ts', import.meta.url))
const results = fileURLToPath(new URL('../../bench/RESULTS.md', import.meta.url))
const run = (...args: string[]) =>
  promisify(execFile)(process.execPath, ['--import', import.meta.resolve('tsx'), program, ...args])

it('measures the layer on wasm, in a process of its own', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const json = join(folder, 'result.json')
  const before = await readFile(results, 'utf8').catch(() => 'none')
  const { stdout, stderr } = await run('--quick', '--only', 'a', '--backend', 'wasm', '--json', json)
  expect(stdout).toContain('- command: `npm run bench -- --only a --backend wasm --quick --json FILE`')
  expect(stdout).toContain('## (a) PatchMoE, 16x16x16 in 4x4 patches, batch 2')
  expect(stdout).not.toContain('## Not measured')
  expect(stderr).toContain('(a), round 1 of 1: layer 4x4x16 in 1x1 patches, batch 2')
  const { reports } = JSON.parse(await readFile(json, 'utf8')) as BenchResult
  expect(Object.values(reports).map(([report]) => report?.software)).toEqual([
    'tfjs 4.22.0, backend wasm',
    'tfjs 4.22.0, backend wasm',
  ])
  expect(await readFile(results, 'utf8').catch(() => 'none')).toBe(before)
})

it('ends with exit code 2 for a call that cannot work', async () => {
  const failure = await run('--only', 'z').catch((error: { code: number; stderr: string }) => error)
  expect(failure).toMatchObject({ code: 2 })
  expect(failure.stderr).toContain('got "z"')
})

it('ends with exit code 1 where nothing can be measured, naming the reason', async () => {
  const failure = await run('--peers', '/nowhere').catch((error: { code: number; stderr: string }) => error)
  expect(failure).toMatchObject({ code: 1 })
  expect(failure.stderr).toContain('bench: peerPython: --peers must be a folder made by bench/peers/setup.sh')
})
