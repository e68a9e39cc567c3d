/**
 * How a value becomes the price in the response:
 * - `pass_through`: the value itself; the exchange runs the auction and sets the price.
 * - `second_price`: our internal second price; right only where Vickrey is the auctioneer.
 * - `shaded`: the value lowered by the market's price distribution, for first-price exchanges. Not there yet: refused.
 */
export const PRICING_MODES = ['pass_through', 'second_price', 'shaded'] as const;
export type PricingMode = (typeof PRICING_MODES)[number];
