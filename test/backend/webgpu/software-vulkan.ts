import { existsSync } from 'node:fs'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { startTypeScript } from '../../child-processes.js'

/** Where Debian's Chromium brings SwiftShader, a Vulkan that computes on the processor, and the loader that finds it. */
const chromiumFolder = '/usr/lib/chromium'
const driver = join(chromiumFolder, 'vk_swiftshader_icd.json')

/** Whether this machine has a Vulkan in software. */
export const hasSoftwareVulkan = existsSync(driver)
if (!hasSoftwareVulkan)
  console.log(`${driver} is not there (Debian's package chromium has it): no number of WebGPU is checked.`)

/**
 * Runs a program of this folder, which prints JSON, where WebGPU finds the Vulkan in software.
 *
 * @param words its arguments
 */
export async function runInSoftware<Report>(program: string, words: readonly string[] = []): Promise<Report> {
  // Of Chromium's libraries the loader alone: the folder has others that would be taken, too.
  const loader = await mkdtemp(join(tmpdir(), 'vulkan-'))
  try {
    await symlink(join(chromiumFolder, 'libvulkan.so.1'), join(loader, 'libvulkan.so.1'))
    const path = fileURLToPath(new URL(program, import.meta.url))
    const env = { VK_DRIVER_FILES: driver, LD_LIBRARY_PATH: loader }
    const { code, out, err } = await startTypeScript([path, ...words], { env }).finished
    expect([code, err]).toEqual([0, ''])
    return JSON.parse(out) as Report
  } finally {
    await rm(loader, { recursive: true, force: true })
  }
}
