/**
 * `npm exec tsx tools/kills.ts [NAME ...]`: kills the commands whose names hold one of these, or all, at every operation
 * by which they change the disk, calls them again each time, and says what went wrong.
 */
import { campaign } from './kills/campaign.js'
import { scenarios } from './kills/scenarios.js'

// Commands that are killed keep the stream.
const print = process.stdout.write.bind(process.stdout)
const asked = process.argv.slice(2)
let wrong = 0
for (const scenario of scenarios) {
  if (asked.length > 0 && !asked.some(name => scenario.name.includes(name))) continue
  const { name, kills, lost, stuck, litter } = await campaign(scenario)
  print(`${name}: ${kills} kills, ${lost.length} lost, ${stuck.length} stuck, ${litter.length} litter\n`)
  for (const [kind, cases] of Object.entries({ lost, stuck, litter })) {
    wrong += cases.length
    for (const each of cases) print(`  ${kind}: ${each}\n`)
  }
}
process.exitCode = wrong > 0 ? 1 : 0
