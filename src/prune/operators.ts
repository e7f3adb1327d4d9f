/**
 * What is done with the experts that go.
 * - `remove`: they, their routers and their channels go; what reads the channels gets fewer
 * - `zero`: they go, and their channels are 0 (a map), or samples sent to them get 0
 * - `reroute`: they and their routers go; samples are sent to the experts that are left
 */
export const PRUNING_OPERATORS = ['remove', 'zero', 'reroute'] as const
export type PruningOperator = (typeof PRUNING_OPERATORS)[number]

/**
 * What goes into the bias of the layer that reads removed channels.
 * - `none`: nothing; the channels are removed where they are read
 * - `zero`: what they would have given there if their experts answered 0
 * - `mean`: what their means over images would have given there
 */
export const COMPENSATIONS = ['none', 'zero', 'mean'] as const
export type Compensation = (typeof COMPENSATIONS)[number]
