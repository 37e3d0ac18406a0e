using System.Xml;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Reads the XML of UPnP devices into the list of its elements. A device is not trusted: no DTD, no entities but the five of XML, and
/// everything has a limit.</summary>
internal static class DeviceXml
{
    private const int MaxDepth = 32;
    private const int MaxElements = 2000;
    private const int MaxText = 512;

    private static readonly XmlReaderSettings s_settings = new()
    {
        DtdProcessing = DtdProcessing.Prohibit,
        XmlResolver = null,
        IgnoreComments = true,
        IgnoreProcessingInstructions = true,
        IgnoreWhitespace = true,
        MaxCharactersInDocument = DeviceClient.MaxBody,
        MaxCharactersFromEntities = 1024,
    };

    /// <summary>The elements in their order.</summary>
    /// <returns><see langword="null"/> if this is not XML, or exceeds a limit.</returns>
    public static DeviceElement[]? Read(byte[] body)
    {
        var elements = new List<DeviceElement>();
        try
        {
            using var reader = XmlReader.Create(new MemoryStream(body), s_settings);
            while (reader.Read())
            {
                if (!Take(reader, elements))
                {
                    return null;
                }
            }

            return [.. elements];
        }
        catch (XmlException)
        {
            return null;
        }
    }

    private static bool Take(XmlReader reader, List<DeviceElement> elements)
    {
        if (reader.NodeType == XmlNodeType.Element)
        {
            elements.Add(new DeviceElement(reader.Depth, reader.LocalName, ""));
        }
        else if (reader.NodeType is XmlNodeType.Text or XmlNodeType.CDATA && elements is [.., var last] && last.Depth == reader.Depth - 1)
        {
            elements[^1] = new DeviceElement(last.Depth, last.Name, last.Text + reader.Value);
        }

        return reader.Depth <= MaxDepth && elements.Count <= MaxElements && (elements.Count == 0 || elements[^1].Text.Length <= MaxText);
    }
}
