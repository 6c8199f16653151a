using System.Numerics;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Dpo.Tests;

public class RotaryEmbeddingTests
{
    private static readonly RotaryParameters Plain = new(10000);

    /// <summary>Pairs as complex numbers, multiplied by exp(i·position·frequency) in double precision.</summary>
    [Theory]
    [InlineData("Halves", 8)]
    [InlineData("Halves", 6)]
    [InlineData("Neighbours", 8)]
    [InlineData("Neighbours", 4)]
    public void Every_pair_is_turned_by_its_angle_and_the_rest_stays(string name, int size)
    {
        using var scope = NewDisposeScope();
        var pairs = Enum.Parse<RotaryPairs>(name);
        long[] positions = [0, 5, 127];
        var x = randn(3, 2, 8);
        var rotated = new RotaryEmbedding(size, Plain, pairs).At(tensor(positions)).Apply(x, float32);

        var (before, after) = (x.ToDoubles(), rotated.ToDoubles());
        for (var row = 0; row < 6; row++)
        {
            var (from, to) = (before[(8 * row)..(8 * row + 8)], after[(8 * row)..(8 * row + 8)]);
            for (var pair = 0; pair < size / 2; pair++)
            {
                var (first, second) = pairs == RotaryPairs.Halves ? (pair, pair + size / 2) : (2 * pair, 2 * pair + 1);
                var turned = new Complex(from[first], from[second])
                    * Complex.FromPolarCoordinates(1, positions[row / 2] * Math.Pow(10000, -2.0 * pair / size));
                Numbers.AssertClose(turned.Real, to[first], 2e-5, $"row {row}, pair {pair}, first");
                Numbers.AssertClose(turned.Imaginary, to[second], 2e-5, $"row {row}, pair {pair}, second");
            }
            Assert.Equal(from[size..], to[size..]);
        }
    }

    /// <summary>The transpose of a rotation is the rotation back: the gradient of a dot product with a constant.</summary>
    [Theory]
    [InlineData("Halves")]
    [InlineData("Neighbours")]
    public void The_gradient_is_turned_back(string pairs)
    {
        using var scope = NewDisposeScope();
        var x = randn(2, 3, 8, requires_grad: true);
        var rotation = new RotaryEmbedding(4, Plain, Enum.Parse<RotaryPairs>(pairs)).At(tensor(new[] { 3L, 40L }));
        var weights = randn(2, 3, 8);
        (rotation.Apply(x, float32) * weights).sum().backward();
        var back = new Rotation(rotation.Cos, -rotation.Sin, Enum.Parse<RotaryPairs>(pairs));
        Numbers.AssertClose(back.Apply(weights, float32).ToDoubles(), x.grad!.ToDoubles(), 1e-6, "gradient");
    }

    [Fact]
    public void BFloat16_is_turned_in_fp32()
    {
        using var scope = NewDisposeScope();
        var x = randn(1, 1, 8).to(bfloat16);
        var rotation = new RotaryEmbedding(8, Plain).At(tensor(new[] { 100L }));
        Assert.Equal(rotation.Apply(x.to(float32), float32).to(bfloat16).ToDoubles(), rotation.Apply(x, bfloat16).ToDoubles());
    }

    [Fact]
    public void Linear_scaling_divides_positions()
    {
        using var scope = NewDisposeScope();
        var x = randn(1, 1, 8);
        var scaled = new RotaryEmbedding(8, new LinearRotaryParameters(10000, 4)).At(tensor(new[] { 20L }));
        var plain = new RotaryEmbedding(8, Plain).At(tensor(new[] { 5L }));
        Numbers.AssertClose(plain.Apply(x, float32).ToDoubles(), scaled.Apply(x, float32).ToDoubles(), 1e-6, "rotated");
    }

    /// <summary>Llama 3.1's own values; the formula as published by wavelength: above 8192 positions divided by 8, below 2048
    /// kept, between them mixed.</summary>
    [Fact]
    public void Llama3_scaling_stretches_long_wavelengths_only()
    {
        using var scope = NewDisposeScope();
        const int size = 128;
        var parameters = new Llama3RotaryParameters(Theta: 500000, Factor: 8, LowTurns: 1, HighTurns: 4, OriginalPositions: 8192);
        var rotation = new RotaryEmbedding(size, parameters).At(tensor(new[] { 1L }));
        var kinds = new int[3];
        var expected = Enumerable.Range(0, size / 2).Select(pair =>
        {
            var frequency = Math.Pow(500000, -2.0 * pair / size);
            var wavelength = 2 * Math.PI / frequency;
            kinds[wavelength > 8192 ? 0 : wavelength < 2048 ? 1 : 2]++;
            var smooth = (8192 / wavelength - 1) / (4 - 1);
            return wavelength > 8192 ? frequency / 8 : wavelength < 2048 ? frequency : (1 - smooth) * frequency / 8 + smooth * frequency;
        });
        // Sines of small angles, so that the lowest frequencies are compared by their own size.
        var actual = rotation.Sin.ToDoubles();
        foreach (var (pair, frequency) in expected.Index())
            Assert.InRange(actual[pair] / Math.Sin(frequency), 1 - 1e-5, 1 + 1e-5);
        Assert.All(kinds, count => Assert.True(count > 3));
    }

    [Theory]
    [InlineData("""{"rope_parameters": {"rope_theta": 7.5, "rope_type": "default"}}""", "RotaryParameters { Theta = 7.5 }")]
    [InlineData("""{"rope_theta": 7.5, "rope_scaling": null}""", "RotaryParameters { Theta = 7.5 }")]
    [InlineData("{}", "RotaryParameters { Theta = 10000 }")]
    [InlineData("""{"rope_theta": 9, "rope_scaling": {"type": "linear", "factor": 2.0}}""", "LinearRotaryParameters { Theta = 9, Factor = 2 }")]
    [InlineData("""{"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 9}}""", "LinearRotaryParameters { Theta = 9, Factor = 2 }")]
    [InlineData(
        """{"rope_theta": 9, "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 64}}""",
        "Llama3RotaryParameters { Theta = 9, Factor = 8, LowTurns = 1, HighTurns = 4, OriginalPositions = 64 }")]
    public void Both_spellings_are_read(string json, string parameters) =>
        Assert.Equal(parameters, RotaryFields.Parameters(Config(json)).ToString());

    [Theory]
    [InlineData("""{"rope_scaling": {"rope_type": "yarn", "factor": 2}}""",
        "`rope_scaling.rope_type` is \"yarn\"; Dpo implements default, linear and llama3 for test.")]
    [InlineData("""{"rope_scaling": {"type": "longrope"}}""",
        "`rope_scaling.type` is \"longrope\"; Dpo implements default, linear and llama3 for test.")]
    [InlineData("""{"rope_scaling": {"factor": 2}}""", "`rope_scaling.rope_type` is missing; it must be a string.")]
    [InlineData("""{"rope_parameters": {"rope_type": "linear"}}""", "`rope_parameters.factor` is missing; it must be a finite number of at least 1.")]
    [InlineData("""{"rope_theta": 0.5}""", "`rope_theta` is 0.5; it must be a finite number of at least 1.")]
    [InlineData("""{"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}}""",
        "`rope_scaling.high_freq_factor` is 4; it must be above low_freq_factor, 4.")]
    [InlineData("""{"rope_parameters": {"full_attention": {"rope_type": "default"}}}""",
        "`rope_parameters.rope_type` is missing; it must be a string.")]
    [InlineData("""{"rope_parameters": 3}""", "`rope_parameters` is 3; it must be an object.")]
    [InlineData("""{"rope_parameters": {}, "rope_scaling": {}}""",
        "`rope_scaling` is {}; `rope_parameters` is there too, so that one of them must go.")]
    public void Other_scaling_is_refused_by_name(string json, string message) => Assert.Equal(
        "config.json: " + message, Assert.Throws<InvalidInputException>(() => RotaryFields.Parameters(Config(json))).Message);

    [Fact]
    public void A_share_of_the_head_is_turned()
    {
        Assert.Equal(8, RotaryFields.Size(Config("{}"), 8));
        Assert.Equal(4, RotaryFields.Size(Config("""{"partial_rotary_factor": 0.5}"""), 8));
        Assert.Equal(2, RotaryFields.Size(Config("""{"rope_parameters": {"partial_rotary_factor": 0.25}}"""), 8, "rotary_pct"));
        Assert.Equal(2, RotaryFields.Size(Config("""{"rotary_pct": 0.25}"""), 8, "rotary_pct"));
        Assert.Equal(4, RotaryFields.Size(Config("{}"), 16, "rotary_pct", fallback: 0.25));
        Assert.Equal(
            "config.json: `rotary_pct` is 0.4; of 8 entries of a head it must leave an even number to be turned, from 2 to 8.",
            Assert.Throws<InvalidInputException>(() => RotaryFields.Size(Config("""{"rotary_pct": 0.4}"""), 8, "rotary_pct")).Message);
    }

    private static ModelConfig Config(string json)
    {
        var fields = JsonNode.Parse(json)!.AsObject();
        fields["model_type"] = "test";
        return new ModelConfig(fields);
    }
}
