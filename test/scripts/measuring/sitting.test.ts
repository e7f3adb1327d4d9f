import { expect, it } from 'vitest'
import type { ChildCommand } from '../../../scripts/run/measuring/child-process.js'
import { secondsOf } from '../../../scripts/run/measuring/child-report.js'
import { sit } from '../../../scripts/run/measuring/sitting.js'

const command = (who: string): ChildCommand => ({ who, program: who, arguments: [], environment: {} })
const step = (report: Parameters<typeof secondsOf>[0]) => secondsOf(report, 'step')[0]!

it('takes processes in turn, there and back, and pairs their rounds', async () => {
  const ran: string[] = []
  const logged: string[] = []
  const sitting = await sit('(b)', [command('ours'), command('peer')], 3, {
    run: async ({ who }) => {
      ran.push(who)
      // Rounds take 1, 2, 3 s; ours two thirds of it.
      const round = Math.ceil(ran.length / 2)
      return { software: who, seconds: { step: [who === 'ours' ? (2 / 3) * round : round] }, facts: {} }
    },
    log: line => logged.push(line),
  })
  expect(ran.join(' ')).toBe('ours peer peer ours ours peer')
  expect(sitting.numbers('peer', step)).toEqual([1, 2, 3])
  const ratio = sitting.ratio('ours', 'peer', step)
  expect(ratio?.count).toBe(3)
  expect(ratio?.lowerQuartile).toBeCloseTo(2 / 3, 12)
  expect(ratio?.upperQuartile).toBeCloseTo(2 / 3, 12)
  expect(logged[3]).toBe('(b), round 2 of 3: ours')
})

it('goes on without a process that fails, and tells why', async () => {
  const ran: string[] = []
  const sitting = await sit('(c)', [command('ours'), command('peer')], 2, {
    run: async ({ who }) => {
      ran.push(who)
      if (who === 'peer' && ran.length > 2) throw new Error('peer: no memory')
      return { software: who, seconds: { step: [ran.length] }, facts: {} }
    },
    log: () => {},
  })
  expect(sitting.failures).toEqual(['(c): peer: no memory'])
  expect(sitting.numbers('ours', step)).toEqual([1, 4])
  expect(sitting.numbers('peer', step)).toBeUndefined()
  expect(sitting.ratio('ours', 'peer', step)).toBeUndefined()
})

it('does not start again what failed', async () => {
  const ran: string[] = []
  await sit('(c)', [command('peer'), command('ours')], 3, {
    run: async ({ who }) => {
      ran.push(who)
      if (who === 'peer') throw new Error('no')
      return { software: who, seconds: { step: [1] }, facts: {} }
    },
    log: () => {},
  })
  expect(ran.join(' ')).toBe('peer ours ours ours')
})
