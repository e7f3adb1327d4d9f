import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { writeFileAtomic } from '../../src/files/atomic.js'
import { campaign, type Scenario } from '../../tools/kills/campaign.js'
import { scenarios } from '../../tools/kills/scenarios.js'

/** The quick ones; `tools/kills.ts` tries all. */
const quick = ['data prepare --force', 'export --format onnx --force', 'study --force']

describe('killed at any of its file operations and called again', () => {
  test.each(quick)('%s ends as if it had not been killed', async name => {
    const scenario = scenarios.find(each => each.name === name) as Scenario
    const { kills, lost, stuck, litter } = await campaign(scenario, 9)
    expect({ lost, stuck, litter }).toEqual({ lost: [], stuck: [], litter: [] })
    expect(kills).toBeGreaterThan(1)
  })
})

describe('a campaign finds a command that', () => {
  const before = (root: string) => writeFileAtomic(join(root, 'a'), 'old')
  const usable = async (root: string) => {
    const text = await readFile(join(root, 'a'), 'utf8')
    if (text !== 'old' && text !== 'new') throw new Error(`got "${text}"`)
  }
  const write = async (root: string) => (await import('node:fs/promises')).writeFile(join(root, 'a'), 'new')

  test('loses what was there', async () => {
    const { kills, lost, stuck, litter } = await campaign({
      name: 'careless',
      before,
      command: write,
      usable,
    })
    expect({ kills, lost, stuck, litter }).toEqual({
      kills: 2,
      lost: ['kill 2 of 2: got "n"'],
      stuck: [],
      litter: [],
    })
  })

  test('does not go on, or leaves something', async () => {
    const { mkdir, rename, rm } = await import('node:fs/promises')
    const command = async (root: string) => {
      await mkdir(join(root, 'b'))
      await rename(join(root, 'b'), join(root, 'c'))
      await rm(join(root, 'c'), { recursive: true })
      await rm(join(root, 'a'))
      await write(root)
    }
    const { lost, stuck, litter } = await campaign({ name: 'stubborn', before, command, usable })
    expect(lost.length).toBeGreaterThan(0)
    expect(stuck[0]).toMatch(/^kill 2 of \d+: EEXIST/)
    expect(litter[0]).toMatch(/^kill 2 of \d+: left b/)
  })
})
