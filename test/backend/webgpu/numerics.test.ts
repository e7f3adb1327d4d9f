import { existsSync } from 'node:fs'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { VerifiedOperation } from '../../../src/backend/verify.js'
import { startTypeScript } from '../../child-processes.js'

/** Where Debian's Chromium brings SwiftShader, a Vulkan that computes on the processor, and the loader that finds it. */
const chromiumFolder = '/usr/lib/chromium'
const driver = join(chromiumFolder, 'vk_swiftshader_icd.json')
const hasSoftwareVulkan = existsSync(driver)
if (!hasSoftwareVulkan)
  console.log(`${driver} is not there (Debian's package chromium has it): no number of WebGPU is checked.`)

interface Report {
  readonly operations: readonly VerifiedOperation[]
  readonly layers: Readonly<Record<string, number>>
  readonly trainings: Readonly<Record<string, Readonly<Record<'cpu' | 'webgpu-software', number[]>>>>
}

describe.skipIf(!hasSoftwareVulkan)('WebGPU in software computes what plain JavaScript computes:', () => {
  let loader: string
  let report: Report

  beforeAll(async () => {
    // Of Chromium's libraries the loader alone: the folder has others that would be taken, too.
    loader = await mkdtemp(join(tmpdir(), 'vulkan-'))
    await symlink(join(chromiumFolder, 'libvulkan.so.1'), join(loader, 'libvulkan.so.1'))
    const program = fileURLToPath(new URL('numerics-program.ts', import.meta.url))
    const env = { VK_DRIVER_FILES: driver, LD_LIBRARY_PATH: loader }
    const { code, out, err } = await startTypeScript([program], { env }).finished
    expect([code, err]).toEqual([0, ''])
    report = JSON.parse(out)
  })

  afterAll(() => rm(loader, { recursive: true, force: true }))

  test('answers and derivatives of layers, to 1e-5 of the largest', () => {
    const { layers } = report
    expect(Object.keys(layers).length).toBeGreaterThan(14)
    expect(Object.entries(layers).filter(([, distance]) => !(distance <= 1e-5))).toEqual([])
  })

  test('the operations of training, but for convolutions', () => {
    expect(report.operations.length).toBeGreaterThan(15)
    const wrong = report.operations.filter(({ state }) => state !== 'right')
    // Which patches are kept where all scores are NaN differs; the gates are NaN there, as on every backend.
    expect(wrong).toEqual([
      expect.objectContaining({ operation: 'TopK', wrong: expect.stringContaining('all NaN') }),
    ])
  })

  test.each(['two-layer', 'wide'])('losses of a training of a %s network, to 1e-4', kind => {
    const { cpu, 'webgpu-software': webgpu } = report.trainings[kind] as Report['trainings'][string]
    expect(webgpu.length).toBeGreaterThan(1)
    expect(cpu.map((loss, i) => Math.abs(loss - (webgpu[i] as number)) <= 1e-4)).toEqual(cpu.map(() => true))
  })
})
