"""Wrong answers that are partly right: the properties that hold, of those that the checks declare.

An answer is named by its assignment, its function, and its place among the wrong ones of that function in
``assignment_N.py``. All others get nothing.
"""

from polygrad_edu.checks import find
from polygrad_edu.checks.parts import SPOILT_SHARE, declared

SPOILT = "spoilt"  # an argument was changed in place: half of what holds remains
HOLDS = {
    ("1", "signal", 5): "falls cosine",  # with twice the temperature
    ("1", "signal", 6): "falls cosine",  # with twice the temperature
    ("1", "signal", 7): "cosine",  # not a number
    ("1", "signal", 8): "cosine",  # should end with nothing left
    ("1", "signal", 9): "falls temperature",  # the cosine starts slowly
    ("1", "betas", 6): "product",  # a step that takes everything
    ("1", "betas", 7): "product limit spoilt",  # in place
    ("1", "add_noise", 2): "share",  # should keep variance 1
    ("1", "add_noise", 3): "variance",  # share of the variance should be
    ("1", "add_noise", 4): "share",  # its sign turned
    ("1", "add_noise", 6): "variance",  # share of the variance should be
    ("1", "add_noise", 7): "variance",  # share of the variance should be
    ("1", "add_noise", 9): "variance share spoilt",  # in place
    ("1", "posterior_variance", 6): "bayes",  # nothing is left to draw
    ("1", "posterior_variance", 8): "bayes first spoilt",  # in place
    ("1", "posterior_mean", 2): "ends",  # no luck at all
    ("1", "posterior_mean", 3): "spread ends",  # no luck at all
    ("1", "posterior_mean", 5): "spread ends",  # no luck at all
    ("1", "posterior_mean", 6): "path",  # one step in and one step back
    ("1", "posterior_mean", 7): "path ends",  # one step in and one step back
    ("1", "respaced", 8): "between start spoilt",  # in place
    ("2", "step_embedding", 2): "waves",  # by one radian from a step
    ("2", "step_embedding", 3): "waves",  # by one radian from a step
    ("2", "step_embedding", 4): "waves fastest",  # the slowest wave
    ("2", "step_embedding", 6): "waves fastest",  # by the same factor
    ("2", "step_embedding", 7): "fastest",  # the slowest wave
    ("2", "step_embedding", 8): "waves fastest",  # the slowest wave
    ("2", "step_embedding", 12): "fastest slower",  # when it stands alone
    ("2", "Denoiser", 1): "listens rows learns blocks precision",  # exactly as it was given
    ("2", "Denoiser", 2): "listens learns blocks precision",  # noise about something known
    ("2", "Denoiser", 3): "first rows learns blocks precision",  # noisy reward and terminal at time point 0
    ("2", "Denoiser", 4): "first rows learns blocks precision",  # where it starts
    ("2", "Denoiser", 5): "first rows learns blocks precision",  # another action at time point
    ("2", "Denoiser", 6): "first rows learns blocks precision",  # how far to trust
    ("2", "Denoiser", 7): "first listens rows learns blocks precision spoilt",  # in place
    ("2", "Denoiser", 8): "first listens rows learns precision",  # passes on what came in
    ("2", "Denoiser", 9): "first listens rows learns precision",  # both read the same input
    ("2", "Denoiser", 10): "first listens rows learns precision",  # weights of its own
    ("2", "Denoiser", 11): "first listens rows blocks precision",  # no gradient arrives
    ("2", "Denoiser", 12): "first listens rows blocks precision",  # no gradient arrives
    ("2", "Denoiser", 13): "first listens learns blocks precision",  # when others stand beside it
    ("2", "Denoiser", 14): "listens learns blocks precision",  # two different answers
    ("2", "Denoiser", 15): "first listens rows learns blocks",  # in float64
    ("2", "Denoiser", 16): "first listens learns blocks precision",  # your code stopped with RuntimeError
    ("2", "Denoiser", 17): "first listens rows learns precision",  # no more parameters
    ("2", "Denoiser", 18): "first precision",  # infinite or not a number
    ("2", "masked_loss", 1): "squares",  # first observation, which is given
    ("2", "masked_loss", 2): "squares real garbage",  # first observation, which is given
    ("2", "masked_loss", 3): "squares given",  # a time point that is not real
    ("2", "masked_loss", 4): "squares real garbage",  # first *reward*
    ("2", "masked_loss", 5): "squares given real garbage",  # each scored *number*
    ("2", "masked_loss", 6): "squares given real garbage",  # Over how many numbers
    ("2", "masked_loss", 7): "squares given real mean",  # choose, do not multiply
    ("2", "masked_loss", 8): "squares given real garbage",  # count more than others
    ("2", "masked_loss", 11): "squares given real garbage",  # no gradient leads back
    ("2", "masked_loss", 12): "squares given real garbage spoilt",  # in place
    ("2", "masked_loss", 13): "squares given real garbage",  # Over how many numbers
    ("2", "training_step", 1): "loss update shown",  # step 0 of
    ("2", "training_step", 2): "loss update shown",  # was never drawn
    ("2", "training_step", 3): "loss update shown",  # all rows of a batch stand at the same step
    ("2", "training_step", 4): "loss update steps",  # should be standard normal
    ("2", "training_step", 5): "loss update steps",  # should be left on average
    ("2", "training_step", 6): "loss update steps",  # weakened as the trajectory is
    ("2", "training_step", 7): "loss update steps",  # without noise
    ("2", "training_step", 8): "loss steps shown",  # a gradient of an earlier update
    ("2", "training_step", 9): "loss steps shown",  # took no step
    ("2", "training_step", 11): "steps shown",  # compared with
    ("2", "training_step", 12): "loss update steps",  # the same noise
    ("2", "training_step", 13): "steps spoilt",  # in place
    ("2", "training_step", 14): "loss update steps",  # *clean* first observation
    ("2", "training_step", 15): "loss update steps",  # should be standard normal
    ("3", "gaussian_score", 2): "direction",  # a tenth
    ("3", "gaussian_score", 3): "direction",  # a tenth
    ("3", "gaussian_score", 5): "direction",  # not the slope of log N
    ("3", "gaussian_score", 8): "direction",  # not the slope of log N
    ("3", "gaussian_score", 10): "direction slope spoilt",  # in place
    ("3", "policy_score", 3): "gaussian sampler plain",  # not every policy is a Gaussian
    ("3", "policy_score", 4): "gaussian families plain",  # where samplers run
    ("3", "policy_score", 5): "gaussian families sampler",  # still tied to the policy's weights
    ("3", "policy_score", 6): "gaussian families sampler",  # weights have received a gradient
    ("3", "policy_score", 7): "gaussian families sampler",  # require a gradient
    ("3", "guided_step", 1): "clip noise",  # towards the mean
    ("3", "guided_step", 2): "clip noise",  # scale times the score
    ("3", "guided_step", 3): "pull clip noise",  # clipped first and pulled from there
    ("3", "guided_step", 4): "pull clip order",  # should not be clipped away
    ("3", "guided_step", 5): "pull clip noise",  # where the clipped action stands
    ("3", "guided_step", 6): "noise",  # policy's mean should stay there
    ("3", "guided_step", 7): "pull noise",  # 10 std *below*
    ("3", "guided_step", 8): "pull noise",  # brought to 2 std above it
    ("3", "guided_step", 10): "pull clip order",  # normalised units
    ("3", "guided_step", 11): "pull clip order",  # normalised units
    ("3", "guided_step", 12): "pull clip order",  # normalised units
    ("3", "guided_step", 13): "pull clip order",  # the noise
    ("3", "guided_step", 14): "pull clip order noise spoilt",  # in place
    ("3", "collapsed", 1): "spread",  # single steps end
    ("3", "collapsed", 2): "spread",  # single steps end
    ("3", "collapsed", 5): "slide none",  # variances that add up
    ("3", "collapsed", 6): "slide none",  # variances that add up
    ("3", "collapsed", 7): "slide none",  # variances that add up
    ("3", "collapsed", 8): "slide none",  # variances that add up
    ("3", "collapsed", 9): "slide none",  # variances that add up
    ("3", "collapsed", 10): "slide none",  # variances that add up
    ("3", "collapsed", 11): "slide none",  # variances that add up
    ("3", "collapsed", 12): "slide spread none spoilt",  # in place
    ("3", "collapsed", 13): "slide spread none spoilt",  # in place
    ("3", "collapsed", 15): "slide none",  # which is not negative
    ("3", "tune", 2): "direction",  # same *factor*
    ("3", "tune", 4): "direction factor rest",  # gone astray
    ("3", "tune", 5): "direction factor rest",  # gone astray
    ("3", "tune", 9): "factor bounded",  # at the scale of that round
    ("3", "tune", 10): "direction rest",  # logarithm of the scale
    ("3", "tune", 11): "direction bounded rest",  # logarithm of the scale
    ("3", "verdict", 4): "words",  # in units of the *policy*
    ("3", "verdict", 5): "words chance",  # both ends of each stair
    ("3", "verdict", 8): "distance words",  # how large a gap is surprising
    ("3", "verdict", 9): "distance words",  # How many numbers
    ("3", "verdict", 10): "distance words",  # How many numbers
    ("3", "verdict", 11): "distance words",  # How many numbers
    ("3", "verdict", 12): "distance",  # the verdict should not be
    ("3", "verdict", 13): "distance",  # the verdict should not be
    ("3", "verdict", 14): "distance words",  # is within chance
    ("3", "verdict", 15): "distance",  # the verdict should not be
    ("3", "verdict", 16): "distance",  # the verdict should not be
    ("3", "verdict", 17): "distance",  # the verdict should not be
    ("3", "verdict", 18): "distance",  # should be one of
    ("3", "verdict", 19): "distance words chance spoilt",  # in place
    ("4", "lambda_returns", 1): "weights",  # lambda
    ("4", "lambda_returns", 2): "weights",  # the return of the last step
    ("4", "lambda_returns", 3): "ends weights kinds",  # the return of the last step
    ("4", "lambda_returns", 4): "ends weights kinds",  # the return of the last step
    ("4", "lambda_returns", 5): "weights",  # with lambda 0
    ("4", "lambda_returns", 6): "weights",  # the return of the last step
    ("4", "lambda_returns", 7): "weights",  # with
    ("4", "lambda_returns", 8): "returns weights",  # its reward and nothing more
    ("4", "lambda_returns", 9): "returns weights",  # its reward and nothing more
    ("4", "lambda_returns", 10): "returns weights",  # its reward and nothing more
    ("4", "lambda_returns", 11): "returns ends kinds",  # was really taken
    ("4", "lambda_returns", 12): "returns ends kinds",  # after the end still has a weight
    ("4", "lambda_returns", 13): "returns ends kinds",  # after the end still has a weight
    ("4", "lambda_returns", 16): "weights",  # the return of the last step
    ("4", "lambda_returns", 17): "weights spoilt",  # in place
    ("4", "lambda_returns", 18): "returns ends weights kinds spoilt",  # in place
    ("4", "lambda_returns", 19): "returns ends weights",  # your code stopped with RuntimeError
    ("4", "lambda_returns", 20): "returns ends weights",  # the returns should be float64
    ("4", "standardise", 8): "real equal",  # should come out as 0
    ("4", "standardise", 11): "real masked",  # no better and no worse
    ("4", "standardise", 12): "real masked",  # a single real step
    ("4", "standardise", 13): "real masked equal spoilt",  # in place
    ("4", "actor_loss", 2): "reinforce real detached",  # *more* random
    ("4", "actor_loss", 3): "reinforce real detached",  # the entropy is not in the loss
    ("4", "actor_loss", 4): "reinforce detached",  # steps that are not real
    ("4", "actor_loss", 5): "reinforce real detached",  # the entropy of the real steps
    ("4", "actor_loss", 6): "reinforce detached",  # the mean over all
    ("4", "actor_loss", 8): "reinforce real entropy",  # a judgement of the critic
    ("4", "actor_loss", 9): "reinforce real entropy",  # they were taken
    ("4", "actor_loss", 10): "entropy",  # get no gradient
    ("4", "actor_loss", 12): "entropy",  # the probability of the whole action
    ("4", "actor_loss", 13): "entropy",  # the probability of the whole action
    ("4", "critic_loss", 2): "square",  # chases its own tail
    ("4", "critic_loss", 3): "square",  # the slow critic gets a gradient
    ("4", "step_policy", 2): "along told",  # log pi changed by
    ("4", "step_policy", 3): "along told",  # log pi changed by
    ("4", "step_policy", 6): "along told",  # log pi changed by
    ("4", "step_policy", 7): "along",  # log pi changed by
    ("4", "step_policy", 9): "along",  # you report the fraction
    ("4", "step_policy", 10): "along",  # you report the fraction
    ("4", "step_policy", 11): "along size still",  # you report the change
    ("4", "step_policy", 13): "along size told",  # divides by that nothing
    ("4", "step_policy", 14): "along spoilt",  # in place
    ("5", "act", 1): "ends following random policy generator",
    ("5", "act", 2): "stored following random policy generator",
    ("5", "act", 3): "stored following random policy generator",
    ("5", "act", 4): "stored following random policy generator",
    ("5", "act", 5): "stored ends random policy generator",
    ("5", "act", 6): "stored ends random policy generator",
    ("5", "act", 7): "stored ends random policy generator",
    ("5", "act", 8): "stored ends random policy generator",
    ("5", "act", 9): "stored ends following policy generator",
    ("5", "act", 10): "stored ends following policy generator",
    ("5", "act", 12): "stored ends following random generator",
    ("5", "act", 13): "stored ends following random generator",
    ("5", "act", 17): "stored ends following random policy generator spoilt",  # in place
    ("5", "improve", 1): "starts learned tuned",
    ("5", "improve", 2): "asked learned tuned",
    ("5", "improve", 3): "asked learned tuned",
    ("5", "improve", 4): "asked learned tuned",
    ("5", "improve", 5): "asked learned tuned",
    ("5", "improve", 6): "starts learned tuned",
    ("5", "improve", 7): "asked learned tuned",
    ("5", "improve", 8): "starts asked tuned",
    ("5", "improve", 9): "starts asked tuned",
    ("5", "improve", 10): "starts asked tuned",
    ("5", "improve", 11): "starts asked learned",
    ("5", "improve", 12): "starts asked learned",
    ("5", "imagination_loop", 3): "fits improves",
    ("5", "imagination_loop", 4): "fits improves",
    ("5", "imagination_loop", 5): "fits improves",
    ("5", "imagination_loop", 6): "fits improves",
    ("5", "imagination_loop", 7): "fits improves",
    ("5", "imagination_loop", 8): "fits improves",
    ("5", "imagination_loop", 9): "steps improves",
    ("5", "imagination_loop", 10): "steps improves",
    ("5", "imagination_loop", 11): "steps improves",
    ("5", "imagination_loop", 12): "steps improves",
    ("5", "imagination_loop", 13): "steps improves",
    ("5", "imagination_loop", 14): "steps improves",
    ("5", "imagination_loop", 15): "steps improves",
    ("5", "imagination_loop", 16): "steps fits",
    ("5", "imagination_loop", 17): "steps fits",
    ("5", "imagination_loop", 18): "steps fits",
    ("5", "imagination_loop", 19): "steps fits",
    ("5", "imagination_loop", 20): "steps fits",
    ("5", "imagination_loop", 21): "steps fits",
}


def points_kept(number, function, place):
    """Points that an answer keeps for the properties that hold."""
    properties = declared(find(f"a{number}/{function}"))
    held = HOLDS.get((number, function, place), "").split()
    whole = float(sum(properties[name].weight for name in held if name != SPOILT))
    return whole * SPOILT_SHARE if SPOILT in held else whole


def points_of(number, function):
    """Points of a question whose properties are declared; 1 if it is all or nothing."""
    return sum(each.weight for each in declared(find(f"a{number}/{function}")).values()) or 1
